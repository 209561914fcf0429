package ec2

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

func TestPreferPrivate(t *testing.T) {
	subnet := func(id string, tags ...string) types.Subnet {
		s := types.Subnet{SubnetId: &id}
		for _, key := range tags {
			s.Tags = append(s.Tags, types.Tag{Key: aws.String(key)})
		}
		return s
	}
	for _, tt := range []struct {
		name  string
		found []types.Subnet
		want  []string
	}{
		{"private ones only", []types.Subnet{
			subnet("public", "kubernetes.io/role/elb"), subnet("private", "kubernetes.io/role/internal-elb"),
		}, []string{"private"}},
		{"no marks", []types.Subnet{subnet("one"), subnet("two")}, []string{"one", "two"}},
		{"public ones only", []types.Subnet{
			subnet("public", "kubernetes.io/role/elb", tagDiscovery), subnet("other"),
		}, []string{"public", "other"}},
		{"marked by hand", []types.Subnet{
			subnet("one", tagDiscovery), subnet("private", tagDiscovery, "kubernetes.io/role/internal-elb"), subnet("other"),
		}, []string{"one", "private"}},
		{"all marked by hand", []types.Subnet{
			subnet("public", tagDiscovery, "kubernetes.io/role/elb"), subnet("private", tagDiscovery, "kubernetes.io/role/internal-elb"),
			subnet("both", "kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"),
		}, []string{"private", "both"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range preferPrivate(tt.found) {
				got = append(got, *s.SubnetId)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmptyTermSelectsNothing(t *testing.T) {
	_, err := firstFound(alternatives{{selector(nil, "subnet-id", "")}}, func([]types.Filter) ([]int, error) {
		t.Error("asked for everything")
		return nil, nil
	})
	if !errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("err = %v, want invalid", err)
	}
}
