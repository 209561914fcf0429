// Command slipway is the users' tool: it shows what Slipway does and would do, with or without a
// cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// version is set by the linker.
var version = "unknown"

// Exit codes.
const (
	exitFailed = 1 // an API did not answer as it should
	exitInput  = 2 // flags or files are wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, input.ErrWrong):
		fmt.Fprintln(stderr, err)
		return exitInput
	default:
		fmt.Fprintln(stderr, "slipway:", err)
		return exitFailed
	}
}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "slipway",
		Short:         "Show what Slipway does, would do, and why.",
		Long:          "slipway shows what Slipway, a Kubernetes scheduler that launches its own nodes, does, would do, and why.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: unknown command %q; see slipway --help", input.ErrWrong, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w; see %s --help", input.ErrWrong, err, cmd.CommandPath())
	})
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(planCommand(), explainCommand(), nodesCommand(), convertCommand(), &cobra.Command{
		Use: "version", Short: "Print the version.", Args: noArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "slipway", version) },
	})
	return cmd
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no argument %q; see %s --help", input.ErrWrong, cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}
