package simec2

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// page is a request's wish for a part of the results.
type page struct {
	action string
	size   int
	offset int
	asked  bool // the request named a size
}

// parsePage reads MaxResults and NextToken. Without a size, answers hold up to
// most results, as with EC2.
func parsePage(p *params, action string, least, most int) page {
	pg := page{action: action, size: p.integer("MaxResults", most, least, most), asked: p.has("MaxResults")}
	token := p.str("NextToken")
	if token == "" {
		return pg
	}
	offset, err := decodeToken(action, token)
	if err != nil {
		p.reject("InvalidNextToken", "The token '%s' is invalid", token)
	}
	pg.offset = offset
	return pg
}

func encodeToken(action string, offset int) string {
	return base64.URLEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d", action, offset))
}

func decodeToken(action, token string) (int, error) {
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return 0, err
	}
	of, n, ok := strings.Cut(string(raw), ":")
	if !ok || of != action {
		return 0, fmt.Errorf("token of another action %q", of)
	}
	return strconv.Atoi(n)
}

// cut returns the page's part of all and the token for the next, "" at the end.
func cut[T any](pg page, all []T) (part []T, next string) {
	start := min(pg.offset, len(all))
	end := min(start+pg.size, len(all))
	if end < len(all) {
		next = encodeToken(pg.action, end)
	}
	return all[start:end], next
}
