package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

// WithoutRight takes an error that says that the user may not read something for a note: the
// rest is said all the same. Any other error is returned.
func (s *Scene) WithoutRight(err error, what string) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	s.Notes = append(s.Notes, fmt.Sprintf("%s are left out, as you may not read them: %v", what, err))
	return nil
}

// explanation begins one, with the scene's events.
func (s *Scene) explanation(kind, namespace, name string) *Explanation {
	e := &Explanation{Kind: kind, Namespace: namespace, Name: name, now: s.Now}
	for _, event := range s.Events {
		e.Events = append(e.Events, Event{Last: last(event), Reason: event.Reason, Message: event.Note})
	}
	slices.SortStableFunc(e.Events, func(a, b Event) int { return b.Last.Compare(a.Last) })
	return e
}

// last is when the event was seen last.
func last(event *eventsv1.Event) time.Time {
	at := event.EventTime.Time
	if event.Series != nil {
		at = event.Series.LastObservedTime.Time
	}
	for _, t := range []time.Time{event.DeprecatedLastTimestamp.Time, event.CreationTimestamp.Time} {
		if at.IsZero() {
			at = t
		}
	}
	return at.UTC()
}

// told is the last event with which Slipway told a pod what becomes of it; nil if none did.
func (e *Explanation) told() *Event {
	for i := range e.Events {
		if slices.Contains([]string{eventReserved, eventDelayed, eventUnlaunchable}, e.Events[i].Reason) {
			return &e.Events[i]
		}
	}
	return nil
}

// promise is when the claim's node will be ready, as its pod was told; empty if it was not.
func (e *Explanation) promise(claim *v1alpha1.NodeClaim) string {
	said := e.told()
	if said == nil || !strings.Contains(said.Message, claim.Name) {
		return "" // of another claim, if anything
	}
	for part := range strings.SplitSeq(said.Message, "; ") {
		if strings.HasPrefix(part, "expected to be ready at ") {
			return part + ", going by earlier nodes of its type"
		}
	}
	return ""
}

// say sets the state, and the summary to the object's name with what is said of it.
func (e *Explanation) say(state, what string) {
	name := e.Name
	if e.Namespace != "" {
		name = e.Namespace + "/" + name
	}
	e.State, e.Summary = state, e.Kind+" "+name+" "+what
}

// detail adds a sentence, of which the end may be somebody else's words, with a full stop or without.
func (e *Explanation) detail(sentence string) {
	if sentence != "" {
		e.Details = append(e.Details, strings.TrimRight(sentence, ". ")+".")
	}
}

func (e *Explanation) keep(reasons ...string) { e.Kept = append(e.Kept, reasons...) }

func (e *Explanation) advise(format string, args ...any) {
	e.Advice = append(e.Advice, fmt.Sprintf(format, args...))
}

func (e *Explanation) setNode(n nodes.Node) { e.Node = &n }

func (e *Explanation) setConditions(claim *v1alpha1.NodeClaim) {
	for _, c := range claim.Status.Conditions {
		e.Conditions = append(e.Conditions, Condition{c.Type, string(c.Status), c.Reason, c.Message, c.LastTransitionTime.UTC()})
	}
}

// brief leaves out of a condition's message what its reason says already.
func brief(message string) string { return strings.TrimSuffix(message, "; being removed") }

// after puts something before a text, if there is one.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// some are the first of many.
func some(names []string) []string {
	const few = 5
	if len(names) <= few {
		return names
	}
	return append(slices.Clone(names[:few]), fmt.Sprintf("%d more", len(names)-few))
}

func ago(now, then time.Time) string { return duration.HumanDuration(now.Sub(then)) }

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
