package simec2

import (
	"fmt"
	"time"
)

type spotPoint struct{ typ, zone, zoneID, product, price string }

type spotPriceXML struct {
	Type      string `xml:"instanceType"`
	Product   string `xml:"productDescription"`
	Price     string `xml:"spotPrice"`
	Timestamp string `xml:"timestamp"`
	Zone      string `xml:"availabilityZone"`
	ZoneID    string `xml:"availabilityZoneId"`
}

type spotHistoryAnswer struct {
	Meta
	Prices    []spotPriceXML `xml:"spotPriceHistorySet>item"`
	NextToken string         `xml:"nextToken"`
}

// describeSpotPriceHistory answers the price in force for any window: simulated
// prices do not move.
func (r *region) describeSpotPriceHistory(p *params, now time.Time) (any, *apiError) {
	names, products, zone := p.list("InstanceType"), p.list("ProductDescription"), p.str("AvailabilityZone")
	start, end := p.timestamp("StartTime"), p.timestamp("EndTime")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeSpotPriceHistory", 1, 1000)
	for name, values := range map[string][]string{"instance-type": names, "product-description": products} {
		if len(values) > 0 {
			filters = append(filters, filter{name, values})
		}
	}
	if zone != "" {
		filters = append(filters, filter{"availability-zone", []string{zone}})
	}
	if !start.IsZero() && !end.IsZero() && end.Before(start) {
		p.reject("InvalidParameterValue", "EndTime is before StartTime")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := selectBy(r.spotPoints(), filters, fields[spotPoint]{
		"instance-type":        one(func(s spotPoint) string { return s.typ }),
		"availability-zone":    one(func(s spotPoint) string { return s.zone }),
		"availability-zone-id": one(func(s spotPoint) string { return s.zoneID }),
		"product-description":  one(func(s spotPoint) string { return s.product }),
		"spot-price":           one(func(s spotPoint) string { return s.price }),
	}, nil)
	if err != nil {
		return nil, err
	}
	answer := &spotHistoryAnswer{}
	part, next := cut(pg, all)
	for _, s := range part {
		answer.Prices = append(answer.Prices, spotPriceXML{
			s.typ, s.product, s.price, wireTime(now.Truncate(time.Hour)), s.zone, s.zoneID,
		})
	}
	answer.NextToken = next
	return answer, nil
}

func (r *region) spotPoints() []spotPoint {
	var out []spotPoint
	for _, t := range r.allTypes() {
		for _, s := range r.subnets {
			if r.offered(t, s.zone) {
				out = append(out, spotPoint{t.Name, s.zone, s.zoneID, "Linux/UNIX", fmt.Sprintf("%.6f", r.spotPrice(t, s.zone))})
			}
		}
	}
	return out
}
