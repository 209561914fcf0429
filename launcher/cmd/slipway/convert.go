package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/convert"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
)

const convertHelp = `Convert prints the NodePools and EC2NodeClasses that Karpenter's objects come to: NodePools and
EC2NodeClasses of v1 and v1beta1, Provisioners of v1alpha3 to v1alpha5, AWSNodeTemplates of v1alpha1.

What could not be carried over is listed on standard error, with file and line. Read the list before
you apply the result: a requirement that is left out allows nodes that were not allowed before.

Pods that select nodes by Karpenter's labels need Slipway's in their place, such as
slipway.dev/capacity-type for karpenter.sh/capacity-type.

Exit code: 0 when all objects were converted, also where fields were left out; 1 when the API server
would refuse one of them as it is; 2 when flags or files are wrong.`

func convertCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "convert -f FILE...",
		Short: "Turn Karpenter's NodePools, EC2NodeClasses and Provisioners into Slipway's.",
		Long:  convertHelp,
		Example: `  # what is in files
  slipway convert -f karpenter/ > slipway.yaml

  # what is in a cluster
  kubectl get nodepools.karpenter.sh,ec2nodeclasses.karpenter.k8s.aws -o yaml | slipway convert -f -`,
		Args:                  noArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return fmt.Errorf("%w: name manifests with -f; see slipway convert --help", input.ErrWrong)
			}
			return convertFiles(files, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "manifest, directory of manifests, or - for standard input; may be given several times")
	return cmd
}

func convertFiles(files []string, stdin io.Reader, stdout, stderr io.Writer) error {
	objects, err := manifest.Scan(files, stdin)
	if err != nil {
		return err
	}
	result, err := convert.Objects(objects)
	if err != nil {
		return err
	}
	for i, o := range result.Objects {
		if i > 0 {
			fmt.Fprintln(stdout, "---")
		}
		raw, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		if _, err := stdout.Write(raw); err != nil {
			return err
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(result.Ignored)) {
		fmt.Fprintf(stderr, "note: ignored: %d × %s\n", result.Ignored[kind], kind)
	}
	for _, remark := range result.Remarks {
		fmt.Fprintln(stderr, "left out:", remark)
	}
	for _, wrong := range result.Invalid {
		fmt.Fprintln(stderr, "not valid:", wrong)
	}
	switch {
	case len(result.Invalid) > 0:
		return fmt.Errorf("%d things must be put right before these objects can be applied", len(result.Invalid))
	case len(result.Objects) == 0:
		return fmt.Errorf("%w: there is none of Karpenter's objects in it", input.ErrWrong)
	}
	return nil
}
