package simec2

import (
	"fmt"
	"slices"
	"time"
)

type spotPoint struct {
	typ, zone, zoneID, product, price string
	at                                time.Time
}

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

// describeSpotPriceHistory answers the price in force at the start of the window and
// every one until its end; without a start, that of now. Latest come first, as with EC2.
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
	all, err := selectBy(r.spotPoints(start, end, now), filters, fields[spotPoint]{
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
			s.typ, s.product, s.price, wireTime(s.at), s.zone, s.zoneID,
		})
	}
	answer.NextToken = next
	return answer, nil
}

func (r *region) spotPoints(start, end, now time.Time) []spotPoint {
	if end.IsZero() || end.After(now) {
		end = now
	}
	if start.IsZero() || start.After(end) {
		start = end
	}
	from, to := r.walk.steps(start), r.walk.steps(end)
	var out []spotPoint
	for _, t := range r.allTypes() {
		for _, s := range r.subnets {
			if !r.offered(t, s.zone) {
				continue
			}
			factors := r.walk.factors(t.Name, s.zone, from, to)
			for i, factor := range slices.Backward(factors) {
				price := fmt.Sprintf("%.6f", r.spotPriceAt(t, s.zone, factor))
				out = append(out, spotPoint{t.Name, s.zone, s.zoneID, "Linux/UNIX", price, r.walk.time(from + i)})
			}
		}
	}
	return out
}
