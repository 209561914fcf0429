package ec2_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// inProcess hands requests to the region's handler, bytes and all, without a network: then a
// bubble's time passes only where somebody waits.
type inProcess struct{ http.Handler }

func (h inProcess) Do(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer.Result(), r.Context().Err()
}

// throttledEC2 is a region with the published buckets, to be used inside a bubble.
func throttledEC2(t *testing.T) (*simec2.Server, *ec2.Provider) {
	t.Helper()
	s, err := simec2.New(simec2.Config{ClusterName: clusterName, CallLogSize: 10_000})
	must(t, err)
	cfg := providerConfig("http://ec2.test")
	cfg.AWS.HTTPClient = inProcess{s}
	cfg.AWS.Retryer = nil // the product's own
	p, err := ec2.New(cfg)
	must(t, err)
	return s, p
}

// TestBurst: a thousand instances are launched, and ended, as fast as EC2's buckets allow and
// without one refusal; in fleets at once.
func TestBurst(t *testing.T) {
	const nodes = 1000
	for _, tt := range []struct {
		name        string
		fleet       int           // claims a call
		launched    time.Duration // at the latest
		terminated  time.Duration
		createFleet int
	}{
		// A tenth of each bucket is left in it: 45 launches at once, 5 a second after that; 900
		// instances are ended at once, 20 a second after that.
		{"each alone", 1, 192 * time.Second, 6 * time.Second, nodes},
		{"in fleets of ten", 10, 12 * time.Second, 6 * time.Second, nodes / 10},
		{"all alike", nodes, 2 * time.Second, 6 * time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := throttledEC2(t)
				start := time.Now()
				ids := launchBurst(t, p, nodes, tt.fleet)
				launched := time.Since(start)
				start = time.Now()
				var all sync.WaitGroup
				for _, id := range ids {
					all.Go(func() {
						for errors.Is(p.Terminate(t.Context(), id), cloud.ErrThrottled) {
							time.Sleep(time.Second)
						}
					})
				}
				all.Wait()
				terminated := time.Since(start)

				refused, made := 0, 0
				for _, c := range s.Calls() {
					if c.Error == "RequestLimitExceeded" {
						refused++
					}
					if c.Action == "CreateFleet" {
						made++
					}
				}
				t.Logf("%d nodes launched in %s with %d calls, terminated in %s; RequestLimitExceeded: %d",
					len(ids), launched.Round(time.Millisecond), made, terminated.Round(time.Millisecond), refused)
				if refused > 0 || made != tt.createFleet || len(ids) != nodes {
					t.Errorf("%d refusals, %d calls (want %d), %d nodes", refused, made, tt.createFleet, len(ids))
				}
				if launched > tt.launched || terminated > tt.terminated {
					t.Errorf("launched in %s, want %s; terminated in %s, want %s", launched, tt.launched, terminated, tt.terminated)
				}
			})
		})
	}
}

// launchBurst launches so many nodes at once, and returns the instances' ids.
func launchBurst(t *testing.T, p *ec2.Provider, nodes, fleet int) []string {
	var mu sync.Mutex
	var ids []string
	var all sync.WaitGroup
	for range nodes / fleet {
		claims := make([]*v1alpha1.NodeClaim, fleet)
		for i := range claims {
			claims[i] = newClaim(m5)
			claims[i].Name = fmt.Sprintf("general-%d", i)
		}
		if fleet > 1 {
			id := uuid.NewUUID()
			for _, c := range claims {
				c.Spec.Fleet = &v1alpha1.Fleet{ID: id, Size: int32(fleet)}
			}
		}
		all.Go(func() {
			got, err := launchPatiently(t, p, claims)
			if err != nil {
				t.Errorf("launch: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, in := range got {
				ids = append(ids, in.ID)
			}
		})
	}
	all.Wait()
	return ids
}

// launchPatiently tries again when it was told to, as the controller of claims does.
func launchPatiently(t *testing.T, p *ec2.Provider, claims []*v1alpha1.NodeClaim) (got []cloud.Instance, err error) {
	for {
		if claims[0].Spec.Fleet != nil {
			got, err = p.LaunchFleet(t.Context(), claims, nil, nil)
		} else {
			var one cloud.Instance
			one, err = p.Launch(t.Context(), claims[0], nil)
			got = []cloud.Instance{one}
		}
		if !errors.Is(err, cloud.ErrThrottled) {
			return got, err
		}
		time.Sleep(15 * time.Second)
	}
}

// TestForeignCalls: where others empty the account's bucket, what was refused is made again, and
// all that comes after it waits as if the bucket were empty: it is.
func TestForeignCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := throttledEC2(t)
		must(t, s.InjectFault(simec2.Fault{Action: "CreateFleet", Code: "RequestLimitExceeded", Count: 1}))
		ids := launchBurst(t, p, 1, 1)
		start := time.Now()
		ids = append(ids, launchBurst(t, p, 20, 1)...)
		refused := 0
		for _, c := range s.Calls() {
			if c.Error == "RequestLimitExceeded" {
				refused++
			}
		}
		if took := time.Since(start); len(ids) != 21 || refused != 1 || took < 2*time.Second { // the pause before the refused call was made again gave some back
			t.Errorf("%d nodes, the last 20 in %s, with %d refusals; want 21, 5 a second, after one refusal", len(ids), took, refused)
		}
	})
}
