package simec2

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Codes of the price list: the on-demand offer term and its hourly rate.
const (
	onDemandTerm = "JRTCKXETXF"
	hourlyRate   = "6YS6EN2CT7"
)

func (r *region) getProducts(body []byte, now time.Time) (any, *apiError) {
	var in struct {
		ServiceCode   string
		FormatVersion string
		NextToken     string
		MaxResults    int
		Filters       []struct{ Field, Type, Value string }
	}
	if err := decodeJSON(body, &in); err != nil {
		return nil, err
	}
	if in.ServiceCode != "AmazonEC2" {
		return nil, refuse("InvalidParameterException", "Service code %q is not simulated", in.ServiceCode)
	}
	if in.FormatVersion != "" && in.FormatVersion != "aws_v1" {
		return nil, refuse("InvalidParameterException", "Format version %q is unknown", in.FormatVersion)
	}
	if in.MaxResults < 0 || in.MaxResults > 100 {
		return nil, refuse("InvalidParameterException", "MaxResults must be 1 to 100")
	}
	setDefault(&in.MaxResults, 100)
	products := make([]product, 0, len(r.types))
	for _, t := range r.allTypes() {
		products = append(products, r.product(t))
	}
	for _, f := range in.Filters {
		if f.Type != "TERM_MATCH" {
			return nil, refuse("InvalidParameterException", "Filter type %q is not simulated", f.Type)
		}
		if _, ok := products[0].attribute(f.Field); !ok {
			return nil, refuse("InvalidParameterException", "Filter field %q is unknown or not simulated", f.Field)
		}
		products = slices.DeleteFunc(products, func(p product) bool {
			v, _ := p.attribute(f.Field)
			return !strings.EqualFold(v, f.Value)
		})
		if len(products) == 0 {
			break
		}
	}
	pg := page{action: "GetProducts", size: in.MaxResults}
	if in.NextToken != "" {
		offset, err := decodeToken(pg.action, in.NextToken)
		if err != nil {
			return nil, refuse("InvalidNextTokenException", "The token is invalid")
		}
		pg.offset = offset
	}
	part, next := cut(pg, products)
	list := make([]string, 0, len(part))
	for _, p := range part {
		list = append(list, p.document(now))
	}
	answer := map[string]any{"FormatVersion": "aws_v1", "PriceList": list}
	if next != "" {
		answer["NextToken"] = next
	}
	return answer, nil
}

// product is one entry of the price list.
type product struct {
	sku, family string
	attributes  map[string]string
	usd         float64
}

func (r *region) product(t InstanceType) product {
	family := "Compute Instance"
	if t.BareMetal {
		family = "Compute Instance (bare metal)"
	}
	yes := func(b bool) string {
		if b {
			return "Yes"
		}
		return "No"
	}
	return product{
		sku:    strings.ToUpper(fmt.Sprintf("%016x", hash64("sku", t.Name))),
		family: family,
		usd:    t.OnDemand,
		attributes: map[string]string{
			"instanceType": t.Name, "instanceFamily": t.Family(), "vcpu": fmt.Sprint(t.VCPU),
			"memory": fmt.Sprintf("%g GiB", float64(t.MemoryMiB)/1024), "currentGeneration": yes(t.CurrentGen),
			"regionCode": r.cfg.Region, "locationType": "AWS Region", "location": locationName(r.cfg.Region),
			"operatingSystem": "Linux", "preInstalledSw": "NA", "licenseModel": "No License required",
			"tenancy": "Shared", "capacitystatus": "Used", "marketoption": "OnDemand",
			"operation": "RunInstances", "usagetype": "BoxUsage:" + t.Name,
			"servicecode": "AmazonEC2", "servicename": "Amazon Elastic Compute Cloud",
		},
	}
}

// locationName is how the price list names a region.
func locationName(region string) string {
	if region == "us-east-1" {
		return "US East (N. Virginia)"
	}
	return region
}

// attribute looks a filter's field up; the product's family and SKU count too.
func (p product) attribute(field string) (string, bool) {
	switch field {
	case "productFamily":
		return p.family, true
	case "sku":
		return p.sku, true
	case "ServiceCode":
		field = "servicecode"
	}
	v, ok := p.attributes[field]
	return v, ok
}

// document is the product as GetProducts sends it: JSON within a string.
func (p product) document(now time.Time) string {
	offer := p.sku + "." + onDemandTerm
	rate := offer + "." + hourlyRate
	published := now.UTC().Truncate(24 * time.Hour).Format(time.RFC3339)
	raw, err := json.Marshal(map[string]any{
		"product":     map[string]any{"productFamily": p.family, "attributes": p.attributes, "sku": p.sku},
		"serviceCode": "AmazonEC2",
		"terms": map[string]any{"OnDemand": map[string]any{offer: map[string]any{
			"offerTermCode": onDemandTerm, "sku": p.sku, "effectiveDate": published, "termAttributes": map[string]string{},
			"priceDimensions": map[string]any{rate: map[string]any{
				"rateCode": rate, "unit": "Hrs", "beginRange": "0", "endRange": "Inf", "appliesTo": []string{},
				"description":  fmt.Sprintf("$%g per On Demand Linux %s Instance Hour", p.usd, p.attributes["instanceType"]),
				"pricePerUnit": map[string]string{"USD": fmt.Sprintf("%.10f", p.usd)},
			}},
		}}},
		"version": published, "publicationDate": published,
	})
	if err != nil {
		panic(fmt.Sprintf("price document of %s: %v", p.sku, err)) // maps of strings always marshal
	}
	return string(raw)
}
