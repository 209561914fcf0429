package ec2

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// Error codes of EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html

// capacityCodes say that an offering cannot be had for now: the pool is empty, or an
// account's quota for it is used up.
var capacityCodes = []string{
	"InsufficientCapacity",
	"InsufficientHostCapacity",
	"InsufficientInstanceCapacity",
	"InsufficientReservedInstanceCapacity",
	"InsufficientFreeAddressesInSubnet",
	"InstanceLimitExceeded",
	"MaxFleetCountExceeded",
	"MaxSpotInstanceCountExceeded",
	"ReservationCapacityExceeded",
	"SpotMaxPriceTooLow",
	"UnfulfillableCapacity",
	"Unsupported", // this type in this zone
	"VcpuLimitExceeded",
}

var deniedCodes = []string{
	"AccessDenied",
	"AccessDeniedException",
	"AuthFailure",
	"AuthFailure.ServiceLinkedRoleCreationNotPermitted",
	"Blocked",
	"ExpiredToken",
	"ExpiredTokenException",
	"InvalidClientTokenId",
	"MissingAuthenticationToken",
	"OptInRequired",
	"PendingVerification",
	"SignatureDoesNotMatch",
	"UnauthorizedAccess",
	"UnauthorizedOperation",
	"UnrecognizedClientException",
}

var notFoundCodes = []string{"ParameterNotFound"} // and what ends like the ones of kind does

// kind returns which of package cloud's errors a code stands for; nil when a caller
// can but try again later.
func kind(code string) error {
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case slices.Contains(capacityCodes, code):
		return cloud.ErrCapacity
	case slices.Contains(deniedCodes, code):
		return cloud.ErrDenied
	case throttled, code == "Unavailable", code == "ServiceUnavailable":
		return cloud.ErrThrottled
	case slices.Contains(notFoundCodes, code),
		strings.HasSuffix(code, ".NotFound"), strings.HasSuffix(code, ".NotFoundException"):
		return cloud.ErrNotFound
	case code == codeParameterMismatch:
		return nil // Launch resolves it
	case strings.HasPrefix(code, "Invalid"), strings.HasPrefix(code, "Missing"), strings.HasPrefix(code, "Malformed"),
		code == "UnknownParameter", code == "UnsupportedOperation", code == "ValidationError",
		code == "ValidationException":
		return cloud.ErrInvalid
	default:
		return nil
	}
}

const (
	codeParameterMismatch = "IdempotentParameterMismatch"
	codeTemplateExists    = "InvalidLaunchTemplateName.AlreadyExistsException"
	codeTemplateMissing   = "InvalidLaunchTemplateName.NotFoundException"
	codeSubnetFull        = "InsufficientFreeAddressesInSubnet"
)

// typed wraps an error of an AWS call with its kind. A denial names the permission.
func typed(service, operation string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch k := kind(api.ErrorCode()); {
	case k == nil:
		return err
	case errors.Is(k, cloud.ErrDenied):
		return fmt.Errorf("%w: %s: %w", k, permission(service, operation, api.ErrorMessage()), err)
	default:
		return fmt.Errorf("%w: %w", k, err)
	}
}

// deniedAction finds the permission in AWS's words: "…is not authorized to perform: iam:PassRole on resource…".
var deniedAction = regexp.MustCompile(`not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)`)

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

// hasCode says whether the error is AWS's with this code.
func hasCode(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}
