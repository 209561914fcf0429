package fit

import (
	"fmt"
	"reflect"

	fwk "k8s.io/kube-scheduler/framework"
)

// The two plugins that judge a node by pods elsewhere are asked what exists: their
// PreFilter parses a pod's constraints and counts the pods of the cluster. What is added
// while a plan is made is counted here, because asking them again for every pod costs a
// look at every node. verify.go has them judge the result.

// domain is one value of a topology key.
type domain struct{ key, value string }

// rule bounds how many pods that it matches may share a domain.
type rule struct {
	topology int // index of the key among Space.topologies; host for one domain a node
	// spread rules bound the difference to the emptiest domain, the others (anti-affinity)
	// are about a carrier and those it keeps away.
	spread              bool
	maxSkew, minDomains int
	matches             []bool // by class
	counts              []int  // spread only: matching pods by domain, of the cluster and of the plan
	domains             []int  // spread only: those that it compares
	selects             []bool // spread only: by kind, whether pods there are counted; nil: all
	placed              []int  // matching pods of the plan by domain
	carried             []int  // pods of the plan that carry the rule, by domain
	// crowd counts the cluster's matching pods by host; spread over hosts only.
	crowd map[string]int
}

// bound returns how many matching pods a carrier of a rule about hosts bears on its host.
func (r *rule) bound(class int) int {
	if r.spread {
		return r.maxSkew // over a host with none
	}
	return one(r.matches[class]) // itself
}

// company is a required pod affinity: all terms together.
type company struct {
	topologies []int
	matches    []bool  // by class: pods that match all terms
	counts     [][]int // by term and domain: of the cluster and of the plan
	any        bool    // such a pod exists somewhere
}

// host is the topology of which every node is its own domain.
const host = -1

// constraints are the rules a class is under.
type constraints struct {
	owned   []int // rules its pods carry
	matched []int // rules that count its pods
	company *company
	wants   string // the company's signature, also where no company stands for it
	// hostOwned and hostMatched are those of owned and matched that are about hosts.
	hostOwned   []hostRule
	hostMatched []int
	// topologies whose domain has to be chosen for a pod of the class before it is packed.
	topologies []int
	ports      bool // asks for host ports
	// avoided are the topologies of which pods that exist close domains to the class.
	avoided []string
	// domains, by spread constraint, in which nodes to be bought would be compared.
	domains [][]string
}

// hostRule is a rule about hosts from a carrier's view: where it is, at most bound pods
// may match the rule, itself included if it matches.
type hostRule struct {
	rule, bound int
	matches     bool
}

// topology is a node label that divides nodes into domains, other than by host.
type topology struct {
	key    string
	values map[string]int // the domain's index by the label's value
}

// pluginState returns what a plugin's PreFilter left, as a struct.
func pluginState(state fwk.CycleState, plugin string) (reflect.Value, error) {
	data, err := state.Read(fwk.StateKey("PreFilter" + plugin))
	if err != nil {
		return reflect.Value{}, fmt.Errorf("state of %s: %w", plugin, err)
	}
	return reflect.ValueOf(data).Elem(), nil
}

// counted copies a topologyToMatchedTermCount, a map from key and value to a number.
func counted(m reflect.Value) map[domain]int {
	counts := map[domain]int{}
	for it := m.MapRange(); it.Next(); {
		counts[domain{it.Key().Field(0).String(), it.Key().Field(1).String()}] = int(it.Value().Int())
	}
	return counts
}
