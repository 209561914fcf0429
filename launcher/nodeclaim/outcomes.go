package nodeclaim

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// outcome is how the launch of a claim ended: with an instance, or with a reason why
// there is none.
type outcome struct {
	instance        cloud.Instance
	class           *v1alpha1.EC2NodeClass // by which it was bought; nil for the launcher's defaults
	reason, message string                 // of a rejection
}

// outcomes remembers how launches ended until the claims say so in the cache: the
// cloud is not asked a second time because a write failed or the cache lags. Its zero
// value is ready for use.
type outcomes struct {
	mu     sync.Mutex
	byName map[string]outcomeOf
}

type outcomeOf struct {
	claim types.UID
	outcome
}

func (o *outcomes) put(claim *v1alpha1.NodeClaim, out outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byName == nil {
		o.byName = map[string]outcomeOf{}
	}
	o.byName[claim.Name] = outcomeOf{claim.UID, out}
}

func (o *outcomes) get(claim *v1alpha1.NodeClaim) (outcome, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.byName[claim.Name]
	return known.outcome, ok && known.claim == claim.UID
}

func (o *outcomes) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byName, name)
}
