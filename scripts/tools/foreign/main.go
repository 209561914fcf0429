// Command foreign checks what kubeconform has no schemas for: objects of the Prometheus
// operator and of cert-manager in the chart's renderings must have no field that their types
// have not, and every expression of a rule or a dashboard must be PromQL.
//
//	foreign FILE.yaml… DASHBOARD.json…
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	var errs []error
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
	}
	if err := errors.Join(errs...); err != nil || len(os.Args) == 1 {
		fmt.Fprintln(os.Stderr, "foreign:", err)
		os.Exit(1)
	}
}

func check(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if strings.HasSuffix(file, ".json") {
		return checkDashboard(raw)
	}
	var errs []error
	for doc := range bytes.SplitSeq(raw, []byte("\n---\n")) {
		var object metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &object); err != nil {
			return err
		}
		if err := checkObject(object.GroupVersionKind().String(), doc); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", object.Kind, object.Name, err))
		}
	}
	return errors.Join(errs...)
}

func checkObject(kind string, doc []byte) error {
	switch kind {
	case "monitoring.coreos.com/v1, Kind=ServiceMonitor":
		return yaml.UnmarshalStrict(doc, &monitoring.ServiceMonitor{})
	case "cert-manager.io/v1, Kind=Issuer":
		return yaml.UnmarshalStrict(doc, &certmanager.Issuer{})
	case "cert-manager.io/v1, Kind=Certificate":
		return yaml.UnmarshalStrict(doc, &certmanager.Certificate{})
	case "monitoring.coreos.com/v1, Kind=PrometheusRule":
		var rule monitoring.PrometheusRule
		if err := yaml.UnmarshalStrict(doc, &rule); err != nil {
			return err
		}
		var errs []error
		for _, group := range rule.Spec.Groups {
			for _, r := range group.Rules {
				errs = append(errs, checkExpression(r.Alert, r.Expr.String()))
			}
		}
		return errors.Join(errs...)
	}
	return nil
}

func checkDashboard(raw []byte) error {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		return err
	}
	var errs []error
	for _, p := range dashboard.Panels {
		for _, t := range p.Targets {
			errs = append(errs, checkExpression(p.Title, strings.ReplaceAll(t.Expr, "$__rate_interval", "5m")))
		}
	}
	return errors.Join(errs...)
}

func checkExpression(where, expr string) error {
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(expr); err != nil {
		return fmt.Errorf("%s: %q: %w", where, expr, err)
	}
	return nil
}
