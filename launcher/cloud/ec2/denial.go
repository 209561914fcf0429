package ec2

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var (
	// deniedAction finds the permission in AWS's words: "…is not authorized to perform: iam:PassRole on resource…".
	deniedAction = regexp.MustCompile(`(?i)not authorized to perform:? ([a-z0-9-]+:[a-z]+)`)
	// encodedDenial finds what EC2 says only to those who may decode it.
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
	encodedDenial = regexp.MustCompile(`Encoded authorization failure message: ([A-Za-z0-9_+/=-]+)`)
)

// permission names the IAM action that was denied: the one in the message, which may
// differ from the call (CreateFleet needs iam:PassRole), else that of the call.
func permission(service, operation, message string) string {
	if m := deniedAction.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	if operation == "" {
		return "unknown permission"
	}
	return strings.ToLower(service) + ":" + operation
}

// decoder reads EC2's encoded authorization messages. A nil one reads none.
type decoder struct{ sts *sts.Client }

// denied names the permission that was denied, and on what, as far as that can be learnt.
func (d *decoder) denied(ctx context.Context, service, operation, message string) string {
	m := encodedDenial.FindStringSubmatch(message)
	if m == nil || d == nil {
		return permission(service, operation, message)
	}
	out, err := d.sts.DecodeAuthorizationMessage(ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: aws.String(m[1])})
	if err != nil {
		return permission(service, operation, message) + " or what it needs (allow sts:DecodeAuthorizationMessage to have AWS say more)"
	}
	var verdict struct {
		ExplicitDeny bool `json:"explicitDeny"`
		Context      struct {
			Action   string `json:"action"`
			Resource string `json:"resource"`
		} `json:"context"`
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.DecodedMessage)), &verdict); err != nil || verdict.Context.Action == "" {
		return permission(service, operation, message)
	}
	text := fmt.Sprintf("%s on %s", verdict.Context.Action, verdict.Context.Resource)
	if verdict.ExplicitDeny {
		text += ", by an explicit deny"
	}
	return text
}

// reasons names the permission that the message of an error in CreateFleet's answer is about:
// what EC2 does to carry the call out is RunInstances.
func (p *Provider) reasons(ctx context.Context) func(message string) string {
	return func(message string) string { return p.denials.denied(ctx, "ec2", "RunInstances", message) }
}
