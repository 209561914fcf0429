package nodepool

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Reasons of the condition Ready.
const (
	// ReasonReady: nodes can be launched.
	ReasonReady = "Ready"
	// ReasonInvalidRequirements: a requirement of the pool cannot be evaluated.
	ReasonInvalidRequirements = "InvalidRequirements"
	// ReasonInvalidBudget: a disruption budget holds at no time that can be told.
	ReasonInvalidBudget = "InvalidBudget"
	// ReasonNodeClassNotFound: the pool names a class that does not exist.
	ReasonNodeClassNotFound = "NodeClassNotFound"
	// ReasonNodeClassNotReady: the pool's class is not ready (yet).
	ReasonNodeClassNotReady = "NodeClassNotReady"
	// ReasonNoOffering: no offering of the class satisfies the pool's requirements.
	ReasonNoOffering = "NoOffering"
	// ReasonOfferingsUnknown: what the class offers could not be read yet.
	ReasonOfferingsUnknown = "OfferingsUnknown"
	// ReasonResolved: the class's part was found.
	ReasonResolved = "Resolved"
	// ReasonNotFound: nothing matches the class's terms.
	ReasonNotFound = "NotFound"
	// ReasonResolveFailed: the cloud could not be asked.
	ReasonResolveFailed = "ResolveFailed"
)

func ready() metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: ReasonReady}
}

func notReady(reason, message string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// unknown is for what another look will tell; launches are tried meanwhile.
func unknown(reason, message string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: reason, Message: message}
}

// newlyBroken says whether the object has become not ready, or is so for another
// cause than before: then, and only then, an event tells the user.
func newlyBroken(before []metav1.Condition, now metav1.Condition) bool {
	if now.Status != metav1.ConditionFalse {
		return false
	}
	old := meta.FindStatusCondition(before, now.Type)
	return old == nil || old.Status != now.Status || old.Reason != now.Reason || old.Message != now.Message
}
