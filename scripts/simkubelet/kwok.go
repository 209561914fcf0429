package simkubelet

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/yaml"
)

// startKWOK runs KWOK over the nodes of the view until ctx ends. It writes the
// status of nodes and pods and removes pods asked to end; it has no stage that
// touches a node's labels or taints, or removes a node. Leases are not its
// affair: with them it ignores pods bound before its own cache has caught up.
func startKWOK(ctx context.Context, cfg *rest.Config, view *nodeView, logger *slog.Logger) error {
	ctx = log.NewContext(ctx, log.NewLogger(complaints{logger}, log.LevelError))
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	cfg.UserAgent = "simkubelet-kwok"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	stages, err := loadStages(fast.DefaultNodeInit, podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete)
	if err != nil {
		return err
	}
	c, err := controllers.NewController(controllers.Config{
		Clock:                     clock.RealClock{},
		TypedClient:               viewedClient{client, view},
		ManageAllNodes:            true, // of those that the view shows
		LocalStages:               stages,
		CIDR:                      "10.244.0.1/16",
		ID:                        "simkubelet",
		NodePlayStageParallelism:  4,
		PodPlayStageParallelism:   8,
		PodsOnNodeSyncParallelism: 4,
	})
	if err != nil {
		return fmt.Errorf("kwok: %w", err)
	}
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("kwok: %w", err)
	}
	return nil
}

func loadStages(documents ...string) (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	out := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, doc := range documents {
		var external v1alpha1.Stage
		if err := yaml.UnmarshalStrict([]byte(doc), &external); err != nil {
			return nil, fmt.Errorf("kwok stage: %w", err)
		}
		stage, err := internalversion.ConvertToInternalStage(&external)
		if err != nil {
			return nil, fmt.Errorf("kwok stage %s: %w", external.Name, err)
		}
		out[stage.Spec.ResourceRef] = append(out[stage.Spec.ResourceRef], stage)
	}
	return out, nil
}

// complaints passes KWOK's error lines on; its other lines, several a pod, are
// of no use here.
type complaints struct{ logger *slog.Logger }

// Write logs one line.
func (c complaints) Write(line []byte) (int, error) {
	c.logger.Warn("kwok", "line", strings.TrimSpace(string(line)))
	return len(line), nil
}
