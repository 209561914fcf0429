package ledger

// Gate says why a gate opened.
type Gate string

// The reasons for which a gate opens.
const (
	GateReady        Gate = "ready"
	GateUnanswered   Gate = "unanswered"
	GateRoom         Gate = "room"
	GateUnlaunchable Gate = "unlaunchable"
	GateEnded        Gate = "ended"
)

// Effects are what follows from a transition, for the caller to carry out. The order in
// which that happens does not matter, and doing it twice does no harm.
type Effects struct {
	// Wake lists the pods that the scheduler must look at.
	Wake []Wake
	// Changed lists the pods of which users may have to be told something new.
	Changed []PodRef
	// Release lists what the launcher must be told to take back.
	Release []Release
	// Resend lists the pods that the launcher must be handed again.
	Resend []PodRef
}

// Wake names a pod whose gate has opened or whose reservation has ended.
type Wake struct {
	Pod  PodRef
	Gate Gate
}

// Release gives a reservation back.
type Release struct {
	Pod PodRef
	// Claim is empty while nothing was planned for the pod.
	Claim  string
	Reason string
}

// Phase is what an Update says about a pod.
type Phase int

// The phases of an update. All but Accepted and Refused are the launcher's stream's.
const (
	// PhaseAccepted confirms that the launcher has the pod, whatever its state.
	PhaseAccepted Phase = iota
	// PhaseRefused says that the launcher does not keep the pod.
	PhaseRefused
	PhaseWaiting
	PhasePlanned
	PhaseLaunched
	PhaseReady
	PhaseUnlaunchable
	PhaseEnded
)

// Update is what the launcher says about one pod.
type Update struct {
	Ref PodRef
	// Pod describes the pod where the caller knows it.
	Pod         *Pod
	Phase       Phase
	Claim, Node string
	Offer       Offer
	Reason      string
	Batch       string
	// Held says that the node must not be used before PhaseReady, however ready it looks: the
	// pod's group is not complete.
	Held bool
}
