// Command builtin writes what AWS sells in a region and at what list price, as package
// launcher/cloud/ec2 has it built in for when AWS cannot be asked: `make builtin`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	componentversion "k8s.io/component-base/version"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/catalog"
)

const readTimeout = 5 * time.Minute

func main() {
	var region, csv, date string
	flag.StringVar(&region, "region", "", "ask AWS about this region, with credentials from the SDK's usual places")
	flag.StringVar(&csv, "csv", "", "read this table instead; slipway plan --help says of its columns")
	flag.StringVar(&date, "date", "", "of when that table is, such as 2026-11-23")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, region, csv, date); err != nil {
		fmt.Fprintln(os.Stderr, "builtin:", err)
		os.Exit(1) //nolint:gocritic // exitAfterDefer: there is nothing left to stop
	}
}

func run(ctx context.Context, region, csv, date string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var t ec2.Table
	switch {
	case csv != "":
		t, err = fromCSV(csv, date)
	case region != "":
		t, err = fromAWS(ctx, region)
	default:
		err = errors.New("--region or --csv is required")
	}
	if err != nil {
		return err
	}
	text := t.String()
	if err := check(t, text); err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

func fromAWS(ctx context.Context, region string) (ec2.Table, error) {
	aws, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(region))
	if err != nil {
		return ec2.Table{}, fmt.Errorf("AWS configuration: %w", err)
	}
	p, err := ec2.New(ec2.Config{
		AWS: aws, Clock: clock.RealClock{}, ReadOnly: true,
		Cluster: ec2.Cluster{Name: "none", KubeVersion: ec2.FixedVersion(componentversion.DefaultKubeBinaryVersion)},
	})
	if err != nil {
		return ec2.Table{}, err
	}
	return p.Snapshot(ctx)
}

func fromCSV(name, date string) (t ec2.Table, err error) {
	if t.Date, err = time.Parse(time.DateOnly, date); err != nil {
		return t, fmt.Errorf("--date: %w", err)
	}
	file, err := os.Open(name)
	if err != nil {
		return t, err
	}
	defer file.Close()
	types, err := catalog.ReadCSV(name, file)
	t.Types = types
	return t, err
}

// check fails where a type is not read as it was written: the format lacks something then.
func check(t ec2.Table, text string) error {
	again, err := ec2.ParseTable(text)
	if err != nil {
		return err
	}
	for _, l := range t.Types {
		i := slices.IndexFunc(again.Types, func(other ec2.Listed) bool { return other.Name == l.Name })
		switch {
		case i < 0 && l.RunsAL2023():
			return fmt.Errorf("%s cannot be written", l.Name)
		case i >= 0 && (again.Types[i].Hardware != l.Hardware || again.Types[i].NoSpot != l.NoSpot):
			return fmt.Errorf("%+v is read again as %+v", l, again.Types[i])
		}
	}
	return nil
}
