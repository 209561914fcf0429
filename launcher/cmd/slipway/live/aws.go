package live

import (
	"context"
	"fmt"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// EC2 returns what AWS sells, with credentials, region and endpoints from the SDK's usual
// places. The cluster's name finds subnets, its version the images.
func EC2(ctx context.Context, clusterName, kubeVersion string) (offering.Source, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	return ec2.New(ec2.Config{
		AWS: aws, Cluster: ec2.Cluster{Name: clusterName, KubeVersion: ec2.FixedVersion(kubeVersion)}, ReadOnly: true, Clock: clock.RealClock{},
	})
}
