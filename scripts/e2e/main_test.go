package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// bin holds the daemons under test and the users' command, repo is the root of the checkout.
var bin, repo string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return m.Run() // every test says why it skips
	}
	ctrl.SetLogger(klog.Background())
	_, file, _, _ := runtime.Caller(0)
	repo = filepath.Join(filepath.Dir(file), "..", "..")
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	bin = dir
	// -race, as everything else that is tested; the version is stamped because clients parse it.
	const version = "k8s.io/component-base/version"
	build := exec.Command("go", "build", "-race", "-ldflags", //nolint:noctx // go test bounds it
		"-X "+version+".gitVersion=v1.36.3 -X "+version+".gitMajor=1 -X "+version+".gitMinor=36",
		"-o", dir, "./launcher/cmd/slipway", "./launcher/cmd/slipway-launcher", "./plugin/cmd/slipway-scheduler")
	build.Dir, build.Stdout, build.Stderr = repo, os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the daemons:", err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(
		// KWOK v0.8.0 never shuts its event broadcaster and its queues down.
		goleak.IgnoreAnyFunction("sigs.k8s.io/kwok/pkg/utils/queue.(*weightDelayingQueue[...]).loopWorker"),
		goleak.IgnoreAnyFunction("k8s.io/apimachinery/pkg/watch.(*Broadcaster).loop"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/record.(*eventBroadcasterImpl).StartEventWatcher.func1"),
	); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "a stopped stack left goroutines:", err)
		return 1
	}
	return code
}
