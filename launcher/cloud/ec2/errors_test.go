package ec2

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

var kinds = []error{cloud.ErrCapacity, cloud.ErrThrottled, cloud.ErrDenied, cloud.ErrNotFound, cloud.ErrInvalid}

func TestTyped(t *testing.T) {
	for _, tt := range []struct {
		code string
		want error // nil: none of the kinds
	}{
		{"InsufficientInstanceCapacity", cloud.ErrCapacity},
		{"InsufficientHostCapacity", cloud.ErrCapacity},
		{"InsufficientReservedInstanceCapacity", cloud.ErrCapacity},
		{"InsufficientFreeAddressesInSubnet", cloud.ErrCapacity},
		{"MaxSpotInstanceCountExceeded", cloud.ErrCapacity},
		{"MaxFleetCountExceeded", cloud.ErrCapacity},
		{"VcpuLimitExceeded", cloud.ErrCapacity},
		{"UnfulfillableCapacity", cloud.ErrCapacity},
		{"ReservationCapacityExceeded", cloud.ErrCapacity},
		{"SpotMaxPriceTooLow", cloud.ErrCapacity},
		{"Unsupported", cloud.ErrCapacity},
		{"UnauthorizedOperation", cloud.ErrDenied},
		{"AccessDenied", cloud.ErrDenied},
		{"AccessDeniedException", cloud.ErrDenied},
		{"UnauthorizedAccess", cloud.ErrDenied},
		{"AuthFailure.ServiceLinkedRoleCreationNotPermitted", cloud.ErrCapacity}, // of spot
		{"InvalidClientTokenId", cloud.ErrDenied},                                // the access key, not a client token
		{"RequestLimitExceeded", cloud.ErrThrottled},
		{"Throttling", cloud.ErrThrottled},
		{"ThrottlingException", cloud.ErrThrottled},
		{"Unavailable", cloud.ErrThrottled},
		{"InvalidInstanceID.NotFound", cloud.ErrNotFound},
		{"InvalidLaunchTemplateName.NotFoundException", cloud.ErrNotFound},
		{"ParameterNotFound", cloud.ErrNotFound},
		{"InvalidInstanceID.Malformed", cloud.ErrInvalid},
		{"InvalidParameterValue", cloud.ErrInvalid},
		{"InvalidFleetConfig", cloud.ErrInvalid},
		{"MissingParameter", cloud.ErrInvalid},
		{"UnsupportedOperation", cloud.ErrInvalid},
		{"IdempotentParameterMismatch", nil},
		{"InternalError", nil},
		{"SomethingNew", nil},
	} {
		t.Run(tt.code, func(t *testing.T) {
			original := &smithy.GenericAPIError{Code: tt.code, Message: "words"}
			err := (*decoder)(nil).typed(t.Context(), "EC2", "CreateFleet", original)
			for _, k := range kinds {
				if got := errors.Is(err, k); got != errors.Is(tt.want, k) {
					t.Errorf("is %q = %v", k, got)
				}
			}
			if !hasCode(err, tt.code) {
				t.Errorf("%q no longer carries its code", err)
			}
		})
	}
}

func TestDenialNamesPermission(t *testing.T) {
	for _, tt := range []struct{ name, operation, message, want string }{
		{"in the message", "CreateFleet",
			"You are not authorized to perform: ec2:CreateLaunchTemplate on resource: arn", "ec2:CreateLaunchTemplate"},
		{"of another service", "CreateFleet",
			"User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: iam:PassRole on resource: z", "iam:PassRole"},
		{"not in the message", "DescribeSubnets", "You are not authorized to perform this operation.", "ec2:DescribeSubnets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := (*decoder)(nil).typed(t.Context(), "EC2", tt.operation, &smithy.GenericAPIError{Code: "UnauthorizedOperation", Message: tt.message})
			if !strings.HasPrefix(err.Error(), "permission denied: "+tt.want+": ") {
				t.Errorf("error %q does not name %s first", err, tt.want)
			}
		})
	}
}

func TestErrorOfNoCode(t *testing.T) {
	err := errors.New("connection refused")
	if got := (*decoder)(nil).typed(t.Context(), "EC2", "CreateFleet", err); got.Error() != err.Error() {
		t.Errorf("typed changed %v to %v", err, got)
	}
}
