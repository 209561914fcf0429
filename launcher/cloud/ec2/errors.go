package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// Error codes of EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html

// capacityCodes say that an offering cannot be had for now: the pool is empty, an account's
// quota for it is used up, or the account was never made ready for it.
var capacityCodes = []string{
	"AuthFailure.ServiceLinkedRoleCreationNotPermitted", // for spot only: on-demand capacity needs no such role
	"InsufficientAddressCapacity",
	"InsufficientCapacity",
	"InsufficientHostCapacity",
	"InsufficientInstanceCapacity",
	"InsufficientReservedInstanceCapacity",
	"InsufficientFreeAddressesInSubnet",
	"InsufficientVolumeCapacity",
	"InstanceLimitExceeded",
	"InvalidCapacityReservationState", // it has ended
	"MaxFleetCountExceeded",
	"MaxIOPSLimitExceeded",
	"MaxSpotFleetRequestCountExceeded",
	"MaxSpotInstanceCountExceeded",
	"NetworkInterfaceLimitExceeded",
	"ReservationCapacityExceeded",
	"SpotMaxPriceTooLow",
	"UnfulfillableCapacity",
	"Unsupported", // this type in this zone
	"VcpuLimitExceeded",
	"VolumeLimitExceeded",
	"VolumeTypeNotAvailableInZone",
}

var deniedCodes = []string{
	"AccessDenied",
	"AccessDeniedException",
	"AuthFailure",
	"Blocked",
	"ExpiredToken",
	"ExpiredTokenException",
	"IncompleteSignature",
	"InvalidClientTokenId",
	"InvalidIdentityToken",
	"InvalidSignatureException",
	"MissingAuthenticationToken",
	"OptInRequired",
	"PendingVerification",
	"SignatureDoesNotMatch",
	"UnauthorizedAccess",
	"UnauthorizedOperation",
	"UnrecognizedClientException",
}

// notFoundCodes, and what ends like the ones of kind does.
var notFoundCodes = []string{
	"AWS.SimpleQueueService.NonExistentQueue", "InvalidAMIID.Unavailable", "NoSuchEntity", "ParameterNotFound", "QueueDoesNotExist",
}

// busyCodes are EC2's own failures: like throttling, they say nothing of a pool.
var busyCodes = []string{"InternalError", "InternalFailure"}

// busy tells whether the code says that EC2 could not do what it might have done.
func busy(code string) bool {
	return errors.Is(kind(code), cloud.ErrThrottled) || slices.Contains(busyCodes, code)
}

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
	codeProfileExists     = "EntityAlreadyExists"
	codeProfileFull       = "LimitExceeded"
	codeSubnetFull        = "InsufficientFreeAddressesInSubnet"
)

// typed wraps an error of an AWS call with its kind. A denial names the permission.
func (d *decoder) typed(ctx context.Context, service, operation string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch k := kind(api.ErrorCode()); {
	case k == nil:
		return err
	case errors.Is(k, cloud.ErrDenied):
		return fmt.Errorf("%w: %s: %w", k, d.denied(ctx, service, operation, api.ErrorMessage()), err)
	default:
		return fmt.Errorf("%w: %w", k, err)
	}
}

// hasCode says whether the error is AWS's with this code.
func hasCode(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}
