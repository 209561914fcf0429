package ec2

import "testing"

func TestParseProduct(t *testing.T) {
	const head = `{"product":{"attributes":{"instanceType":"m5.large"}},"terms":{"OnDemand":{"T":{"priceDimensions":{"D":`
	for _, tt := range []struct {
		name, doc string
		want      float64
		err       bool
	}{
		{"hourly", head + `{"unit":"Hrs","pricePerUnit":{"USD":"0.0960000000"}}}}}}}`, 0.096, false},
		{"yuan", head + `{"unit":"Hrs","pricePerUnit":{"CNY":"0.7"}}}}}}}`, 0.7, false},
		{"one-off", head + `{"unit":"Quantity","pricePerUnit":{"USD":"500"}}}}}}}`, 0, false},
		{"no terms", `{"product":{"attributes":{"instanceType":"m5.large"}},"terms":{}}`, 0, false},
		{"no number", head + `{"unit":"Hrs","pricePerUnit":{"USD":"much"}}}}}}}`, 0, true},
		{"no JSON", `<html>`, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, usd, err := parseProduct(tt.doc)
			if (err != nil) != tt.err {
				t.Fatalf("err = %v", err)
			}
			if !tt.err && (name != "m5.large" || usd != tt.want) {
				t.Errorf("got %s at %v, want m5.large at %v", name, usd, tt.want)
			}
		})
	}
}
