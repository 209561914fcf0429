package simec2

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cli is the aws command line: a client that shares no code with the product's SDK and has
// AWS's own service models.
type cli struct {
	t    *testing.T
	path string
	env  []string
	url  string
}

// newCLI finds a command that works, or skips the test.
func newCLI(t *testing.T, s *Server) *cli {
	t.Helper()
	home := t.TempDir()
	env := []string{
		"HOME=" + home, "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_ACCESS_KEY_ID=AKIDSIMULATED", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "AWS_DEFAULT_OUTPUT=json", "LC_ALL=C.UTF-8",
	}
	var why []string
	for _, path := range []string{"/usr/bin/aws", "aws"} { // Debian's package before any other
		found, err := exec.LookPath(path)
		if err != nil {
			why = append(why, err.Error())
			continue
		}
		c := &cli{t: t, path: found, env: env, url: s.URL()}
		version, err := c.run("--version")
		if err == nil {
			t.Logf("%s: %s", found, strings.TrimSpace(version))
			return c
		}
		why = append(why, err.Error())
	}
	t.Skip("no aws command that works (Debian's package is awscli): " + strings.Join(why, "; "))
	return nil
}

func (c *cli) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Env = c.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// ask runs a command against the simulated region and parses its answer.
func (c *cli) ask(into any, args ...string) {
	c.t.Helper()
	out, err := c.run(append([]string{"--endpoint-url", c.url}, args...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		c.t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// refused runs a command that must fail with a code.
func (c *cli) refused(code string, args ...string) {
	c.t.Helper()
	_, err := c.run(append([]string{"--endpoint-url", c.url}, args...)...)
	if err == nil || !strings.Contains(err.Error(), "("+code+")") {
		c.t.Errorf("aws %s: error %v, want %s", strings.Join(args, " "), err, code)
	}
}

// TestAWSCLI runs a session of the aws command line: what it sends must be understood, what
// it is answered must parse by AWS's models, and the figures must be those of the region.
func TestAWSCLI(t *testing.T) {
	none := time.Duration(0)
	s, err := New(Config{Seed: 1, ReadLag: &none})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	aws := newCLI(t, s)
	cliPrices(t, s, aws)
	ids := cliLaunch(t, s, aws)
	cliFilters(t, s, aws)
	cliQueue(t, s, aws, ids[0])
	cliTerminate(t, s, aws, ids)
	aws.refused("InvalidAction", "ec2", "describe-volumes")
	aws.refused("InvalidParameterValue", "ec2", "describe-instances", "--filters", "Name=hypervisor,Values=xen")
	aws.refused("ParameterNotFound", "ssm", "get-parameter", "--name", "/no/such")
	aws.refused("AWS.SimpleQueueService.NonExistentQueue", "sqs", "get-queue-url", "--queue-name", "other")
}

func cliPrices(t *testing.T, s *Server, aws *cli) {
	t.Helper()
	var types struct {
		InstanceTypes []struct {
			InstanceType string
			VCPUInfo     struct {
				DefaultVCPUs int `json:"DefaultVCpus"`
			} `json:"VCpuInfo"`
			MemoryInfo struct{ SizeInMiB int }
		}
	}
	aws.ask(&types, "ec2", "describe-instance-types", "--instance-types", "m5.large")
	if len(types.InstanceTypes) != 1 || types.InstanceTypes[0].VCPUInfo.DefaultVCPUs != 2 || types.InstanceTypes[0].MemoryInfo.SizeInMiB != 8192 {
		t.Errorf("m5.large is %+v, want 2 CPUs and 8 GiB", types)
	}
	var products struct{ PriceList []string }
	aws.ask(&products, "pricing", "get-products", "--service-code", "AmazonEC2", "--filters", "Type=TERM_MATCH,Field=instanceType,Value=m5.large")
	if len(products.PriceList) != 1 {
		t.Fatalf("%d products, want 1", len(products.PriceList))
	}
	if name, usd := readPrice(t, products.PriceList[0]); name != "m5.large" || !strings.HasPrefix(usd, "0.096") {
		t.Errorf("%s costs %s, want m5.large at 0.096", name, usd)
	}
	var history struct{ SpotPriceHistory []struct{ SpotPrice string } }
	aws.ask(&history, "ec2", "describe-spot-price-history", "--instance-types", "m5.large", "--availability-zone", "us-east-1a",
		"--product-descriptions", "Linux/UNIX", "--start-time", time.Now().UTC().Format(time.RFC3339))
	spot, err := s.SpotPrice("m5.large", "us-east-1a")
	if want := fmt.Sprintf("%.6f", spot); err != nil || len(history.SpotPriceHistory) != 1 || history.SpotPriceHistory[0].SpotPrice != want {
		t.Errorf("spot price history %+v, want %s", history, want)
	}
	var parameter struct{ Parameter struct{ Value string } }
	aws.ask(&parameter, "ssm", "get-parameter", "--name", "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id")
	image, err := s.RecommendedImage("x86_64")
	if err != nil || parameter.Parameter.Value != image {
		t.Errorf("recommended image %s, want %s (%v)", parameter.Parameter.Value, image, err)
	}
}

// cliLaunch launches seven spot instances and tags six.
func cliLaunch(t *testing.T, s *Server, aws *cli) (ids []string) {
	t.Helper()
	image, err := s.RecommendedImage("x86_64")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		LaunchTemplate struct {
			LaunchTemplateID string `json:"LaunchTemplateId"`
		}
	}
	aws.ask(&template, "ec2", "create-launch-template", "--launch-template-name", "nodes",
		"--launch-template-data", fmt.Sprintf(`{"ImageId":%q,"SecurityGroupIds":[%q],"UserData":"aGVsbG8="}`, image, s.SecurityGroup()))
	var fleet struct {
		Instances []struct {
			InstanceIDs []string `json:"InstanceIds"`
			Lifecycle   string
		}
	}
	aws.ask(&fleet, "ec2", "create-fleet", "--type", "instant",
		"--target-capacity-specification", "TotalTargetCapacity=7,DefaultTargetCapacityType=spot",
		"--spot-options", "AllocationStrategy=price-capacity-optimized",
		"--launch-template-configs", fmt.Sprintf(
			`[{"LaunchTemplateSpecification":{"LaunchTemplateId":%q,"Version":"$Latest"},"Overrides":[{"InstanceType":"m5.large","SubnetId":%q}]}]`,
			template.LaunchTemplate.LaunchTemplateID, s.Subnets()["us-east-1a"]))
	if len(fleet.Instances) != 1 || len(fleet.Instances[0].InstanceIDs) != 7 || fleet.Instances[0].Lifecycle != "spot" {
		t.Fatalf("fleet %+v, want 7 spot instances", fleet)
	}
	ids = fleet.Instances[0].InstanceIDs
	aws.ask(nil, append([]string{"ec2", "create-tags", "--tags", "Key=session,Value=a b/c", "--resources"}, ids[:6]...)...)
	return ids
}

// cliFilters finds the six by their tag, on two pages.
func cliFilters(t *testing.T, s *Server, aws *cli) {
	t.Helper()
	var described struct {
		Reservations []struct {
			Instances []struct {
				InstanceID        string `json:"InstanceId"`
				InstanceLifecycle string
				State             struct{ Name string }
				Placement         struct{ AvailabilityZone string }
			}
		}
	}
	aws.ask(&described, "ec2", "describe-instances", "--page-size", "5", "--filters", "Name=tag:session,Values=a b/*", "Name=instance-state-name,Values=pending,running")
	n := 0
	for _, r := range described.Reservations {
		for _, i := range r.Instances {
			n++
			if i.State.Name != StateRunning || i.Placement.AvailabilityZone != "us-east-1a" || i.InstanceLifecycle != "spot" {
				t.Errorf("instance %+v", i)
			}
		}
	}
	pages := 0
	for _, c := range s.Calls() {
		if c.Action == "DescribeInstances" {
			pages++
		}
	}
	if n != 6 || pages != 2 {
		t.Errorf("%d instances on %d pages, want 6 on 2", n, pages)
	}
}

// cliQueue hears of an interruption.
func cliQueue(t *testing.T, s *Server, aws *cli, id string) {
	t.Helper()
	s.mu.Lock()
	s.region.queue.messages = nil // the changes of state
	s.mu.Unlock()
	if err := s.Interrupt(Interruption{Kind: InterruptSpot, InstanceIDs: []string{id}}); err != nil {
		t.Fatal(err)
	}
	var queue struct {
		QueueURL string `json:"QueueUrl"`
	}
	aws.ask(&queue, "sqs", "get-queue-url", "--queue-name", "slipway-dev")
	var received struct {
		Messages []struct{ ReceiptHandle, Body string }
	}
	aws.ask(&received, "sqs", "receive-message", "--queue-url", queue.QueueURL, "--max-number-of-messages", "10", "--wait-time-seconds", "5", "--attribute-names", "SentTimestamp")
	if len(received.Messages) != 1 {
		t.Fatalf("%d messages, want 1", len(received.Messages))
	}
	var warning event
	if err := json.Unmarshal([]byte(received.Messages[0].Body), &warning); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"instance-id": id, "instance-action": "terminate"}
	if diff := cmp.Diff(want, warning.Detail); diff != "" || warning.DetailType != "EC2 Spot Instance Interruption Warning" {
		t.Errorf("%s: %s", warning.DetailType, diff)
	}
	var deleted struct {
		Successful []struct {
			ID string `json:"Id"`
		}
	}
	aws.ask(&deleted, "sqs", "delete-message-batch", "--queue-url", queue.QueueURL, "--entries", "Id=1,ReceiptHandle="+received.Messages[0].ReceiptHandle)
	if len(deleted.Successful) != 1 || s.QueuedMessages() != 0 {
		t.Errorf("deleted %+v, %d messages left", deleted, s.QueuedMessages())
	}
}

func cliTerminate(t *testing.T, s *Server, aws *cli, ids []string) {
	t.Helper()
	var ended struct {
		TerminatingInstances []struct {
			InstanceID                  string `json:"InstanceId"`
			PreviousState, CurrentState struct{ Name string }
		}
	}
	aws.ask(&ended, append([]string{"ec2", "terminate-instances", "--instance-ids"}, ids...)...)
	if len(ended.TerminatingInstances) != 7 || ended.TerminatingInstances[0].CurrentState.Name != StateShuttingDown {
		t.Errorf("ended %+v", ended)
	}
	for _, i := range s.Instances() {
		if i.State != StateTerminated {
			t.Errorf("instance %s is %s", i.ID, i.State)
		}
	}
}
