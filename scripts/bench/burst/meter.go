package burst

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"k8s.io/client-go/discovery"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// harness is this process: simulated EC2 and kubelets, and the benchmark's own watches.
const harness = "simulation and benchmark"

// meter reads what processes use, and what the API server is asked to write.
type meter struct {
	runner *runner
	pids   map[string]int
	before map[string]devcluster.Usage
	writes map[string]float64
}

type used struct {
	processes map[string]Process
	writes    map[string]float64 // per pod
}

func (r *runner) startMeter(ctx context.Context) (*meter, error) {
	m := &meter{runner: r, before: map[string]devcluster.Usage{}, pids: map[string]int{
		"slipway-scheduler": r.stack.Scheduler.PID(), "slipway-launcher": r.stack.Launcher.PID(), harness: os.Getpid(),
	}}
	for name, p := range r.stack.Cluster.Processes() {
		m.pids[name] = p.PID()
	}
	var err error
	if m.writes, err = r.countWrites(ctx); err != nil {
		return nil, err
	}
	for name, pid := range m.pids {
		if err := devcluster.ForgetPeak(pid); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if m.before[name], err = devcluster.UsageOf(pid); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, nil
}

func (m *meter) stop(ctx context.Context, pods int) (used, error) {
	u := used{processes: map[string]Process{}, writes: map[string]float64{}}
	for name, pid := range m.pids {
		now, err := devcluster.UsageOf(pid)
		if err != nil {
			return u, fmt.Errorf("%s: %w", name, err)
		}
		u.processes[name] = Process{CPUSeconds: (now.CPU - m.before[name].CPU).Seconds(), PeakMiB: float64(now.Peak >> 20)}
	}
	writes, err := m.runner.countWrites(ctx)
	if err != nil {
		return u, err
	}
	for what, n := range writes {
		if more := n - m.writes[what]; more > 0 {
			u.writes[what] = more / float64(pods)
		}
	}
	return u, nil
}

var (
	requestTotal = regexp.MustCompile(`^apiserver_request_total\{(.*)\} (\S+)$`)
	label        = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// countWrites reads how many requests that write the API server has answered, by verb and resource.
func (r *runner) countWrites(ctx context.Context) (map[string]float64, error) {
	c, err := discovery.NewDiscoveryClientForConfig(r.stack.Cluster.RESTConfig())
	if err != nil {
		return nil, err
	}
	raw, err := c.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("API server's metrics: %w", err)
	}
	return parseWrites(raw)
}

func parseWrites(metrics []byte) (map[string]float64, error) {
	writes := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := requestTotal.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(m[1], -1) {
			labels[l[1]] = l[2]
		}
		switch labels["verb"] {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
		default:
			continue
		}
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return nil, fmt.Errorf("API server's metrics: %w", err)
		}
		what := labels["verb"] + " " + labels["resource"]
		if sub := labels["subresource"]; sub != "" {
			what += "/" + sub
		}
		writes[what] += n
	}
	return writes, lines.Err()
}
