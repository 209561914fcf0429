package v1alpha1

// Reasons with which a NodeClaim's Launched, Registered or Initialized condition is False for good:
// the claim is deleted, and its pods are planned for anew.
const (
	// ReasonInsufficientCapacity: the cloud had none of the accepted offerings. They are
	// remembered as unavailable, so the next plan chooses others at once.
	ReasonInsufficientCapacity = "InsufficientCapacity"
	// ReasonRegistrationTimeout: the instance never became a Node.
	ReasonRegistrationTimeout = "RegistrationTimeout"
	// ReasonInitializationTimeout: the Node never became ready for pods.
	ReasonInitializationTimeout = "InitializationTimeout"
)

// ReasonDisrupting on Empty, Drifted, Expired, Consolidatable, Unhealthy or Surplus says that the node
// is being removed for it.
const ReasonDisrupting = "Disrupting"

// Reasons with which Launched is Unknown for the moment: the launch is tried again.
const (
	// ReasonThrottled: the cloud was asked too often.
	ReasonThrottled = "Throttled"
	// ReasonLaunchFailing: anything else that may pass.
	ReasonLaunchFailing = "LaunchFailing"
	// ReasonLaunchesCapped: as many nodes were launched within a minute as may be.
	ReasonLaunchesCapped = "LaunchesCapped"
)
