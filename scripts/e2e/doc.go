// Package e2e tests the whole: a real control plane, both daemons as processes with their
// shipped RBAC and configuration, and the simulated EC2. Every test has a cluster of its
// own. The tests skip, saying so, where KUBEBUILDER_ASSETS names no control plane.
//
// # What can go wrong
//
// For each fault: what covers it; by when all pods that can run do run; where that is
// tested. In all of them nothing is bought twice, nothing is left behind and no pod waits
// for what cannot come. Times are the defaults of SlipwayArgs (ttl.…) and of the launcher's
// configuration; «a launch» is what it takes to plan, buy, boot and bind.
//
// The launcher
//
//	dead                    the courier keeps the pods and tries again, the gate opens after
//	                        ttl.waiting; what fits is scheduled as ever
//	                        → 60 s for room that others bring; else a launch after its return
//	                        (the courier looks every 10 s at the latest)
//	                        plugin/courier.TestDown plugin.TestLauncherNeverAnswers
//	                        scripts/e2e.TestLauncherDown
//	killed at any step      NodeClaims are written before money is spent, client tokens derive
//	                        from them, the rest is read back → leaderElection.leaseDuration and
//	                        a launch
//	                        scripts/e2e.TestLauncherKilled launcher/nodeclaim.TestLaunchSurvivesLostStatusWrite
//	                        scripts/e2e.TestLauncherKilledDuringReplacement
//	slow (10 s answers)     calls time out and are repeated, by pod UID nothing is taken twice,
//	                        and the stream tells what became of them → a launch, no longer
//	                        plugin/courier.TestSlow plugin.TestLauncherMisbehaves
//	                        launcher/allocate.TestReserveIsIdempotentAndBounded
//	restarting every 5 s    as killed; a launcher that does not live for as long as its
//	                        predecessor's lease is a dead one → leaseDuration and a launch, once
//	                        it stays up for that long
//	                        scripts/e2e.TestLauncherRestartsAgainAndAgain
//	answering errors        the courier backs off, 100 ms to 10 s; a pod that spoils a batch is
//	                        found by halving → 10 s and a launch after the last error
//	                        plugin/courier.TestRefusals plugin.TestLauncherMisbehaves
//	two leaders             a leader whose lease may be over writes no NodeClaim, and one claim
//	                        is bought once whoever launches it → leaseDuration and a launch
//	                        launcher/cmd/slipway-launcher.TestLeads launcher/allocate.TestFormerLeader
//	                        scripts/e2e.TestTwoLeaders
//
// A process that is stopped for good between that look at its lease and the write, and wakes
// up after its successor has planned, still buys twice; nothing but the API server could tell.
// The second node stays empty and goes by its TTL.
//
// The stream between the two
//
//	cut mid-message         half a snapshot changes nothing, a new stream begins with a whole one;
//	                        what was not answered is sent again → 10 s
//	                        plugin.TestStreamCutMidMessage plugin/courier.TestStream
//	a scheduler too slow    its stream is cut, and begins anew → 10 s
//	                        launcher/allocate.TestSlowWatcherIsCutOff
//
// The scheduler
//
//	killed while a pod is   the launcher's snapshot brings every reservation back before the
//	Waiting, Planned,       first pod is scheduled; a binding is the API server's to decide
//	Launched, Ready or      → leaderElection.leaseDuration and 5 s, the node's boot aside
//	being bound             scripts/e2e.TestSchedulerKilled
//	fails over              standbys follow the stream and write nothing → leaseDuration
//	                        scripts/e2e.TestSchedulerKilled plugin.TestStandby
//	gone for good           what it asked for is bought, stays empty and goes by its TTL
//	                        launcher/allocate.TestSchedulerIsGone
//
// The API server
//
//	away for 30 s           both daemons end when they lose their leases, and are started again;
//	                        writes whose answers were lost are looked for → a launch after its
//	                        return
//	                        scripts/e2e.TestAPIServerOutage launcher/allocate.TestLostAnswer
//	watch expired (410)     everything is listed anew; what was deleted meanwhile arrives as a
//	                        deletion → seconds
//	                        plugin.TestWatchExpired
//	clock jumps             in one process time is monotonic. What is compared with timestamps in
//	                        the API (the launcher's timeouts, the TTL of empty nodes) comes as much
//	                        too early or too late as the clock jumped, and a node is replaced or
//	                        kept for that long → the timeout and the jump
//	                        launcher/nodeclaim.TestClockJumps plugin/ledger.TestClockJumps
//
// The node
//
//	NodeClaim deleted       its pods are planned for again at once; its instance is looked for
//	by hand                 until EC2's reads must show it, and terminated → a launch
//	                        scripts/e2e.TestNodesLost launcher/nodeclaim.TestAbandon
//	Node deleted by hand    its finalizer has the claim deleted, which drains and terminates; where
//	                        the finalizer was removed, the claim ends when the Node is gone
//	                        → a launch
//	                        scripts/e2e.TestNodesLost launcher/nodeclaim.TestNodeDeletionEndsClaim
//	                        launcher/nodeclaim.TestNodeRemovedByForce
//	instance terminated     the garbage collector misses it twice → two rounds of
//	behind our back         nodeClaims.collectEvery (2 min), at least 30 s, and a launch; with
//	                        aws.interruptionQueue the notice of it → a launch
//	                        scripts/e2e.TestInstanceTerminatedBehindOurBack scripts/e2e.TestNodesLost
//	                        launcher/nodeclaim.TestCollectClaims
//	taken back by the       tainted at the notice; room for the pods that will follow is bought
//	cloud, with notice      and ready before the drain, unless the time is too short for that
//	                        → at once; a launch, where the node takes longer to come
//	                        scripts/e2e.TestInterruptionStorm scripts/e2e.TestInterruptionUsesFreeRoom
//	                        launcher/nodeclaim.TestInterruptedClaimIsDrainedInTime
//	in a capacity block     as taken back, 10 minutes before EC2 begins to terminate what is in it
//	that ends               → at once
//	                        launcher/nodeclaim.TestCapacityBlockEnds
//	likely to be taken      as taken back, but its pods stay until there is room for others
//	back                    → at once
//	                        scripts/e2e.TestRebalanceWithoutRoom launcher/allocate.TestSuccessionFails
//	expired, or not as its  tainted at the pace of the budgets; drained when there is room for the
//	pool and class want it  pods that will follow, given back for a while when there is none in
//	                        15 min → a launch a node
//	                        scripts/e2e.TestRollingDrift scripts/e2e.TestRollingImages
//	                        launcher/reallocate.TestNodeThatIsNotReplacedIsGivenBack
//	not ready, or failing   replaced at the pace of the budgets, whatever asks not to disrupt it, with
//	a check of EC2          at most 5 min for the drain; a ready one's pods have room first. Where
//	                        many are unhealthy, none is (condition DisruptionPaused)
//	                        → repair.toleration (30 min) and a launch
//	                        scripts/e2e.TestUnhealthyNodeIsReplaced
//	                        launcher/reallocate.TestPausedWhileManyAreUnhealthy
//	one of spec.replicas    a substitute is launched at once → a launch
//	is gone, or going       scripts/e2e.TestFixedPool launcher/replicas.TestDecide
//	never registers         nodeClaims.registrationTimeout → 15 min and a launch, with patience
//	                        that doubles from 1 s to 5 min when it happens again
//	                        scripts/e2e.TestNodesLost launcher/nodeclaim.TestRegistrationIgnoresStranger
//	registers, but is never nodeClaims.initializationTimeout → 15 min and a launch, with patience;
//	ready for pods          once it is late, new pods are not told to wait for it
//	                        launcher/nodeclaim.TestNodeIsNeverReady launcher/allocate.TestLateNode
//	registers under         claim and node belong together by provider id; the ledger follows the
//	another name            name → at once
//	                        scripts/e2e.TestNodesLost plugin.TestNodeOfAnotherName
//	is slow                 its pods run elsewhere where room becomes free (package
//	                        plugin/memory) → at once where a pod ends, 5 s where a node joins
//	                        scripts/e2e.TestRoomFreedWhileNodesBoot scripts/e2e.TestSlowNode
//	                        scripts/e2e.TestRoomFreedBeforeLaunch plugin.TestFreedRoom
//	flaps                   the gate closes and opens with the node, whose pod is tried each time;
//	                        a node has ttl.launched and ttl.ready in all → 22 min
//	                        plugin.TestNodeFlaps plugin/ledger.TestTransitions
//	is too small, or others its holders that do not fit are handed over again when they are tried
//	put pods on it          → a launch; from the second node in a row that a pod gives back, with
//	                        patience that doubles from 1 s to 5 min
//	                        scripts/e2e.TestNodeSmallerThanPredicted scripts/e2e.TestOtherSchedulersPods
//	                        scripts/e2e.TestDisplacedHolder plugin.TestDisplaced
//	                        plugin.TestNodeCannotTakeItsPod launcher/allocate.TestNodesGivenBack
//	binding fails           the clock of ttl.ready goes on between the tries → 2 min
//	                        plugin/ledger.TestTransitions
//
// EC2
//
//	denies, throttles, has  the claim or its pods say so; tried again less and less often
//	no capacity             → unavailableFor (3 min), or 5 min, after it is over
//	                        scripts/e2e.TestEC2Denies scripts/e2e.TestEC2Throttles
//	                        scripts/e2e.TestEC2ThrottlesForLong scripts/e2e.TestOutOfCapacityEverywhere
//	                        scripts/e2e.TestNoCapacityInFirstZone
//	does not tell types     what is built in of the region is used, spot capacity taken to cost what
//	and prices              on-demand capacity does → at once
//	                        scripts/e2e.TestAWSTellsNothing launcher/cloud/ec2.TestBuiltInDataStandIn
//	has nodes for some of   the reservations of all whose nodes are not bought yet are given up, the
//	a group only            rest is bought elsewhere or what was bought is returned; no pod starts
//	                        alone → as has no capacity, with patience from 1 s to 5 min
//	                        scripts/e2e.TestGroupLaunchFails scripts/e2e.TestGroupInOneZone
//	                        launcher/allocate.TestLaunchFails launcher/allocate.TestGroupIsRefused
//	sends odd messages, or  dropped and counted, or read again 15 s later; none holds up others
//	the queue is away       → the next notice
//	                        launcher/nodeclaim.TestQueueIsNotHeldUp
//	                        launcher/cloud/ec2.TestQueueDrains10000
//	loses an answer         the same token finds what was bought → the SDK's retries; a refusal is
//	                        not believed until it would have been found → 90 s
//	                        scripts/e2e.TestAnswerLost launcher/nodeclaim.TestLostAnswerThenRefusal
package e2e
