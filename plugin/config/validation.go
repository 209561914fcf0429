package config

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate reports everything that is wrong with the arguments. path is where they are.
func Validate(path *field.Path, args *SlipwayArgs) error {
	var errs field.ErrorList
	tls := path.Child("tls")
	for _, f := range []struct {
		path  *field.Path
		value string
		why   string
	}{
		{path.Child("launcherAddress"), args.LauncherAddress, "the launcher's address"},
		{tls.Child("certFile"), args.TLS.CertFile, "the launcher accepts no caller without a certificate"},
		{tls.Child("keyFile"), args.TLS.KeyFile, "the launcher accepts no caller without a certificate"},
		{tls.Child("caFile"), args.TLS.CAFile, "the authorities that may sign the launcher's certificate"},
	} {
		if f.value == "" {
			errs = append(errs, field.Required(f.path, f.why))
		}
	}
	orders := []Order{LaunchFirst, PreemptFirst, NeverLaunch}
	if !slices.Contains(orders, args.Order) {
		errs = append(errs, field.NotSupported(path.Child("order"), args.Order, orders))
	}
	for _, class := range slices.Sorted(maps.Keys(args.OrderByPriorityClass)) {
		if o := args.OrderByPriorityClass[class]; !slices.Contains(orders, o) {
			errs = append(errs, field.NotSupported(path.Child("orderByPriorityClass").Key(class), o, orders))
		}
	}
	if d := args.LaunchDelay.Duration; d < 0 {
		errs = append(errs, field.Invalid(path.Child("launchDelay"), d.String(), "must not be negative"))
	}
	ttl := path.Child("ttl")
	for _, f := range []struct {
		path  *field.Path
		value metav1.Duration
	}{
		{path.Child("requestTimeout"), args.RequestTimeout},
		{ttl.Child("waiting"), args.TTL.Waiting},
		{ttl.Child("planned"), args.TTL.Planned},
		{ttl.Child("launched"), args.TTL.Launched},
		{ttl.Child("ready"), args.TTL.Ready},
		{ttl.Child("refused"), args.TTL.Refused},
	} {
		if f.value.Duration <= 0 {
			errs = append(errs, field.Invalid(f.path, f.value.Duration.String(), "must be longer than 0s"))
		}
	}
	return errs.ToAggregate()
}

// ValidateShared reports in what a profile's arguments differ from those of the first
// profile though all profiles share it: one launcher, and one set of reservations.
func ValidateShared(path *field.Path, args, first *SlipwayArgs) error {
	const why = "must be what it is in the first profile with the plugin: they share their launcher and reservations"
	var errs field.ErrorList
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"launcherAddress", args.LauncherAddress, first.LauncherAddress},
		{"tls", args.TLS, first.TLS},
		{"requestTimeout", args.RequestTimeout, first.RequestTimeout},
		{"ttl", args.TTL, first.TTL},
	} {
		if f.got != f.want {
			errs = append(errs, field.Invalid(path.Child(f.name), f.got, why))
		}
	}
	return errs.ToAggregate()
}
