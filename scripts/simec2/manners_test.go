package simec2

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	pricingtypes "github.com/aws/aws-sdk-go-v2/service/pricing/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"
)

func TestThrottling(t *testing.T) {
	r := newRig(t)
	template := r.template("one")
	call := func() error {
		in := r.fleet(template, 1, []string{"m5.large"})
		_, err := r.ec2.CreateFleet(r.ctx, in)
		return err
	}
	for i := range 50 {
		if err := call(); err != nil {
			t.Fatalf("call %d of the burst: %v", i, err)
		}
	}
	wantCode(t, call(), "RequestLimitExceeded")
	r.clock.Step(time.Second)
	for i := range 5 {
		if err := call(); err != nil {
			t.Fatalf("call %d after a second: %v", i, err)
		}
	}
	wantCode(t, call(), "RequestLimitExceeded")

	for range 50 { // an unfiltered list draws from a smaller bucket than a filtered one
		if _, err := r.ec2.DescribeInstances(r.ctx, &ec2.DescribeInstancesInput{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.ec2.DescribeInstances(r.ctx, &ec2.DescribeInstancesInput{})
	wantCode(t, err, "RequestLimitExceeded")
	if _, err := r.ec2.DescribeInstances(r.ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5)}); err != nil {
		t.Errorf("a paged list shares the bucket of the unfiltered one: %v", err)
	}
}

func TestFaults(t *testing.T) {
	r := newRig(t)
	template := r.template("one")
	if err := r.SetFaults(
		Fault{Action: "CreateFleet", Code: "InternalError", Count: 1},
		Fault{Action: "CreateFleet", Code: "ServiceUnavailable", Count: 1, AfterEffect: true},
	); err != nil {
		t.Fatal(err)
	}
	in := r.fleet(template, 1, []string{"m5.large"})
	in.ClientToken = aws.String("claim")
	_, err := r.ec2.CreateFleet(r.ctx, in)
	wantCode(t, err, "InternalError")
	if n := len(r.Instances()); n != 0 {
		t.Errorf("%d instances after a refused call", n)
	}
	_, err = r.ec2.CreateFleet(r.ctx, in)
	wantCode(t, err, "ServiceUnavailable")
	launched := r.Instances()
	if len(launched) != 1 {
		t.Fatalf("%d instances after a lost answer, want 1", len(launched))
	}
	if ids := r.launch(in); len(ids) != 1 || ids[0] != launched[0].ID {
		t.Errorf("the retry gave %v, want the instance of the lost answer", ids)
	}
	var errs []string
	for _, c := range r.Calls() {
		if c.Action == "CreateFleet" {
			errs = append(errs, c.Error)
			if c.ClientToken != "claim" {
				t.Errorf("logged token %q", c.ClientToken)
			}
		}
	}
	if diff := cmp.Diff([]string{"InternalError", "ServiceUnavailable", ""}, errs); diff != "" {
		t.Errorf("logged errors (-want +got):\n%s", diff)
	}
	for _, f := range []Fault{{}, {Action: "x"}, {Action: "x", Code: "y", Rate: 2}, {Action: "x", Code: "y", Count: -1}} {
		if err := r.InjectFault(f); err == nil {
			t.Errorf("accepted %+v", f)
		}
	}
}

func TestFaultRateIsRepeatable(t *testing.T) {
	draw := func() (failed int) {
		r := newRig(t, func(c *Config) {
			c.Seed, c.Faults = 7, []Fault{{Action: "DescribeAvailabilityZones", Code: "InternalError", Rate: 0.5}}
		})
		for range 40 {
			if _, err := r.ec2.DescribeAvailabilityZones(r.ctx, nil); err != nil {
				failed++
			}
		}
		return failed
	}
	if a, b := draw(), draw(); a != b || a < 10 || a > 30 {
		t.Errorf("%d and %d of 40 calls failed, want the same, about half", a, b)
	}
}

func TestRefusesWhatIsNotSimulated(t *testing.T) {
	r := newRig(t)
	_, err := r.ec2.DescribeVpcs(r.ctx, &ec2.DescribeVpcsInput{})
	wantCode(t, err, "InvalidAction")
	_, err = r.ec2.DescribeSubnets(r.ctx, &ec2.DescribeSubnetsInput{Filters: filterBy("ipv6-native", "true")})
	wantCode(t, err, "InvalidParameterValue")
	_, err = ssm.NewFromConfig(r.aws).GetParametersByPath(r.ctx, &ssm.GetParametersByPathInput{Path: aws.String("/aws")})
	wantCode(t, err, "UnknownOperationException")
	_, err = pricing.NewFromConfig(r.aws).GetProducts(r.ctx, &pricing.GetProductsInput{ServiceCode: aws.String("AmazonS3")})
	wantCode(t, err, "InvalidParameterException")
}

func TestUnsignedRequestsAreRefused(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name, header, code string
		status             int
	}{
		{"without a signature", "", "MissingAuthenticationToken", http.StatusForbidden},
		{"with another scheme", "Bearer token", "IncompleteSignature", http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := url.Values{"Action": {"DescribeSubnets"}, "Version": {ec2Version}}
			req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.URL()+"/", strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tc.header != "" {
				req.Header.Set("Authorization", tc.header)
			}
			status, body := r.do(req)
			if status != tc.status || !strings.Contains(body, "<Code>"+tc.code+"</Code>") {
				t.Errorf("%d %s, want %d with %s", status, body, tc.status, tc.code)
			}
		})
	}
}

func TestAnswerOnTheWire(t *testing.T) {
	r := newRig(t)
	form := url.Values{"Action": {"DescribeSubnets"}, "Version": {ec2Version}}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.URL()+"/", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260723/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature="+
		strings.Repeat("0", 64))
	status, body := r.do(req)
	const start = `<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>`
	if status != http.StatusOK || !strings.Contains(body, start) || !strings.HasSuffix(body, "</DescribeSubnetsResponse>") {
		t.Errorf("%d %.300s, want a document that begins %s", status, body, start)
	}
}

// do sends a plain HTTP request over the rig's connections.
func (r *rig) do(req *http.Request) (int, string) {
	r.t.Helper()
	resp, err := r.aws.HTTPClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSSM(t *testing.T) {
	r := newRig(t)
	client := ssm.NewFromConfig(r.aws)
	const path = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id"
	get := func() string {
		out, err := client.GetParameter(r.ctx, &ssm.GetParameterInput{Name: aws.String(path)})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.Parameter.Value)
	}
	before := get()
	if err := r.PublishImages("v20260801"); err != nil {
		t.Fatal(err)
	}
	if after := get(); after == before || after != r.image("x86_64") {
		t.Errorf("recommended image %s after a release, was %s", after, before)
	}
	_, err := client.GetParameter(r.ctx, &ssm.GetParameterInput{Name: aws.String("/none")})
	wantCode(t, err, "ParameterNotFound")
	many, err := client.GetParameters(r.ctx, &ssm.GetParametersInput{Names: []string{path, "/none"}})
	if err != nil || len(many.Parameters) != 1 || len(many.InvalidParameters) != 1 {
		t.Errorf("got %+v (%v), want one found and one invalid", many, err)
	}
}

func TestPricing(t *testing.T) {
	r := newRig(t)
	match := func(field, value string) pricingtypes.Filter {
		return pricingtypes.Filter{Type: pricingtypes.FilterTypeTermMatch, Field: aws.String(field), Value: aws.String(value)}
	}
	pages := pricing.NewGetProductsPaginator(pricing.NewFromConfig(r.aws), &pricing.GetProductsInput{
		ServiceCode: aws.String("AmazonEC2"),
		Filters: []pricingtypes.Filter{
			match("regionCode", "us-east-1"), match("operatingSystem", "Linux"), match("tenancy", "Shared"),
			match("preInstalledSw", "NA"), match("capacitystatus", "Used"), match("marketoption", "OnDemand"),
		},
	})
	got := map[string]string{}
	for pages.HasMorePages() {
		out, err := pages.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range out.PriceList {
			typ, usd := readPrice(t, doc)
			got[typ] = usd
		}
	}
	if len(got) != len(r.InstanceTypes()) || got["t3.medium"] != "0.0416000000" {
		t.Errorf("%d prices, t3.medium at %q; want all %d types and 0.0416", len(got), got["t3.medium"], len(r.InstanceTypes()))
	}
}

func readPrice(t *testing.T, doc string) (instanceType, usd string) {
	t.Helper()
	var p struct {
		Product struct{ Attributes map[string]string }
		Terms   struct {
			OnDemand map[string]struct {
				PriceDimensions map[string]struct{ PricePerUnit map[string]string }
			}
		}
	}
	if err := json.Unmarshal([]byte(doc), &p); err != nil {
		t.Fatal(err)
	}
	for _, term := range p.Terms.OnDemand {
		for _, d := range term.PriceDimensions {
			usd = d.PricePerUnit["USD"]
		}
	}
	return p.Product.Attributes["instanceType"], usd
}

func TestSTS(t *testing.T) {
	r := newRig(t)
	client := sts.NewFromConfig(r.aws)
	out, err := client.GetCallerIdentity(r.ctx, &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(out.Account) != accountID {
		t.Errorf("got %+v (%v), want account %s", out, err, accountID)
	}
	_, err = client.GetSessionToken(r.ctx, &sts.GetSessionTokenInput{})
	wantCode(t, err, "InvalidAction")
}

func TestControlAPI(t *testing.T) {
	r := newRig(t)
	template := r.template("one")
	send := func(method, path, body string) (int, string) {
		req, err := http.NewRequestWithContext(r.ctx, method, r.URL()+controlPrefix+path, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		return r.do(req)
	}
	for _, step := range []struct{ method, path, body string }{
		{"PUT", "memory", `{"instanceType":"m5.large","lessPercent":10}`},
		{"PUT", "capacity", `[{"instanceType":"m5.large","instances":1}]`},
		{"PUT", "faults", `[{"action":"CreateFleet","latency":"0s","code":"InternalError","count":1}]`},
		{"POST", "images", `{"release":"v20260801"}`},
	} {
		if status, body := send(step.method, step.path, step.body); status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", step.method, step.path, status, body)
		}
	}
	_, err := r.ec2.CreateFleet(r.ctx, r.fleet(template, 2, []string{"m5.large"}))
	wantCode(t, err, "InternalError")
	ids := r.launch(r.fleet(template, 2, []string{"m5.large"}))
	if len(ids) != 1 {
		t.Fatalf("launched %v, want one within capacity", ids)
	}
	if got, want := r.Instances()[0].MemoryMiB, visibleMiB(8192-819, false); got != want {
		t.Errorf("memory %d MiB, want %d, a tenth less than described", got, want)
	}
	if status, body := send("POST", "terminate", `{"instanceIds":["`+ids[0]+`"]}`); status != http.StatusOK {
		t.Fatalf("terminate: %d %s", status, body)
	}
	if i := r.Instances()[0]; i.State != StateTerminated || i.TerminationReason == userInitiated {
		t.Errorf("state %s, reason %q, want an end that no caller asked for", i.State, i.TerminationReason)
	}
	if _, body := send("GET", "calls?action=CreateFleet", ""); strings.Count(body, `"action"`) != 2 || !strings.Contains(body, ids[0]) {
		t.Errorf("call log %s, want both calls and the instance launched", body)
	}
	for _, step := range []struct{ method, path, body string }{
		{"GET", "nothing", ""},
		{"PUT", "capacity", `[{"instanceType":"m99.large"}]`},
		{"PUT", "capacity", `[{"instances":-1}]`},
		{"PUT", "memory", `{"instanceType":"m5.large","lessPercent":100}`},
		{"POST", "terminate", `{"instanceIds":["i-none"]}`},
		{"POST", "images", `{"release":"tomorrow"}`},
		{"PUT", "faults", `[{"acton":"x"}]`},
	} {
		if status, _ := send(step.method, step.path, step.body); status != http.StatusBadRequest {
			t.Errorf("%s %s %s: %d, want 400", step.method, step.path, step.body, status)
		}
	}
}
