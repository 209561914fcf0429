package ec2

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	pricingtypes "github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// onDemandPrices are US dollars per hour by instance type.
type onDemandPrices map[string]float64

// spotPrices are US dollars per hour; nil where none could be read.
type spotPrices map[spotPool]float64

type spotPool struct{ instanceType, zone string }

type prices struct {
	onDemand onDemandPrices
	spot     spotPrices
}

// of returns a price. Where no spot price could be read the on-demand one stands in: without a
// maximum price of our own, spot capacity costs at most that.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances.html
func (p prices) of(instanceType, zone, capacityType string) (float64, bool) {
	var usd float64
	switch {
	case capacityType == v1alpha1.CapacityTypeOnDemand, p.spot == nil && capacityType == v1alpha1.CapacityTypeSpot:
		usd = p.onDemand[instanceType]
	case capacityType == v1alpha1.CapacityTypeSpot:
		usd = p.spot[spotPool{instanceType, zone}]
	}
	return usd, usd > 0
}

// prices returns what is known of prices; without on-demand prices it fails.
func (p *Provider) prices(ctx context.Context) (prices, error) {
	onDemand, err := p.onDemand.get(ctx, onDemandMaxAge)
	if err != nil {
		return prices{}, fmt.Errorf("on-demand prices: %w", err)
	}
	spot, err := p.spot.get(ctx, spotMaxAge)
	if err != nil {
		return prices{}, fmt.Errorf("spot prices: %w", err)
	}
	return prices{onDemand, spot}, nil
}

// readOnDemandPrices reads the list prices of Linux instances on shared hardware.
func (p *Provider) readOnDemandPrices(ctx context.Context) (onDemandPrices, error) {
	match := func(field, value string) pricingtypes.Filter {
		return pricingtypes.Filter{Type: pricingtypes.FilterTypeTermMatch, Field: aws.String(field), Value: aws.String(value)}
	}
	pages := pricing.NewGetProductsPaginator(p.pricing, &pricing.GetProductsInput{
		ServiceCode: aws.String("AmazonEC2"),
		Filters: []pricingtypes.Filter{
			match("regionCode", p.cfg.AWS.Region),
			match("operatingSystem", "Linux"),
			match("preInstalledSw", "NA"),
			match("tenancy", "Shared"),
			match("capacitystatus", "Used"),
			match("marketoption", "OnDemand"),
		},
		MaxResults: aws.Int32(100),
	})
	found := onDemandPrices{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, doc := range page.PriceList {
			name, usd, err := parseProduct(doc)
			if err != nil {
				return nil, err
			}
			if usd > 0 && (found[name] == 0 || usd < found[name]) {
				found[name] = usd
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no on-demand price is listed for region %s", p.cfg.AWS.Region)
	}
	return found, nil
}

// product is the part of a price list document that matters here.
// https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
type product struct {
	Product struct {
		Attributes struct {
			InstanceType string `json:"instanceType"`
		} `json:"attributes"`
	} `json:"product"`
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				Unit         string            `json:"unit"`
				PricePerUnit map[string]string `json:"pricePerUnit"`
			} `json:"priceDimensions"`
		} `json:"OnDemand"`
	} `json:"terms"`
}

// parseProduct returns an instance type and its price per hour; 0 when it has none in
// US dollars (yuan are taken at their number: only comparisons matter).
func parseProduct(doc string) (instanceType string, perHour float64, err error) {
	var p product
	if err := json.Unmarshal([]byte(doc), &p); err != nil {
		return "", 0, fmt.Errorf("price list: %w", err)
	}
	name := p.Product.Attributes.InstanceType
	for _, term := range p.Terms.OnDemand {
		for _, d := range term.PriceDimensions {
			if d.Unit != "Hrs" {
				continue
			}
			for _, currency := range []string{"USD", "CNY"} {
				text, ok := d.PricePerUnit[currency]
				if !ok {
					continue
				}
				if perHour, err = strconv.ParseFloat(text, 64); err != nil {
					return "", 0, fmt.Errorf("price list: %s: %w", name, err)
				}
			}
		}
	}
	return name, perHour, nil
}

// readSpotPrices reads the current price of every spot pool: asked from now on, EC2
// answers with the last price of each.
func (p *Provider) readSpotPrices(ctx context.Context) (spotPrices, error) {
	pages := ec2.NewDescribeSpotPriceHistoryPaginator(p.ec2, &ec2.DescribeSpotPriceHistoryInput{
		ProductDescriptions: []string{"Linux/UNIX", "Linux/UNIX (Amazon VPC)"},
		StartTime:           aws.Time(p.cfg.Clock.Now()),
		MaxResults:          aws.Int32(1000),
	})
	found := spotPrices{}
	latest := map[spotPool]time.Time{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, h := range page.SpotPriceHistory {
			usd, err := strconv.ParseFloat(aws.ToString(h.SpotPrice), 64)
			if err != nil {
				return nil, fmt.Errorf("price of %s in %s: %w", h.InstanceType, aws.ToString(h.AvailabilityZone), err)
			}
			pool := spotPool{string(h.InstanceType), aws.ToString(h.AvailabilityZone)}
			if at := aws.ToTime(h.Timestamp); latest[pool].IsZero() || at.After(latest[pool]) {
				found[pool], latest[pool] = usd, at
			}
		}
	}
	return found, nil
}
