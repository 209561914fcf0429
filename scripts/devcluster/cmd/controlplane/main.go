// Command controlplane makes sure that the dev cluster's binaries are there,
// building them where they are not, and prints the directory that holds them.
// Progress goes to standard error, so that a shell can use the output:
//
//	KUBEBUILDER_ASSETS=$(go run ./scripts/devcluster/cmd/controlplane)
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-dev/slipway/scripts/devcluster/assets"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 {
		return fmt.Errorf("takes no arguments, got %q", os.Args[1:])
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	dir, err := assets.Build(ctx, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}
