package simec2

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// jsonAction serves one action of the AWS JSON 1.1 protocol.
type jsonAction func(body []byte, now time.Time) (any, *apiError)

func (r *region) jsonActions() map[string]jsonAction {
	return map[string]jsonAction{
		"AmazonSSM.GetParameter":          r.getParameter,
		"AmazonSSM.GetParameters":         r.getParameters,
		"AWSPriceListService.GetProducts": r.getProducts,
	}
}

// decodeJSON refuses members the simulator does not know.
func decodeJSON(body []byte, into any) *apiError {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	return nil
}

type parameterJSON struct {
	ARN              string
	DataType         string
	LastModifiedDate float64
	Name             string
	Type             string
	Value            string
	Version          int64
}

func (r *region) parameter(name string, now time.Time) (parameterJSON, bool) {
	value, ok := r.imageParameter(name)
	if !ok {
		return parameterJSON{}, false
	}
	return parameterJSON{
		ARN:  fmt.Sprintf("arn:aws:ssm:%s::parameter%s", r.cfg.Region, name),
		Name: name, DataType: "aws:ec2:image", Type: "String", Value: value, Version: int64(len(r.images)),
		LastModifiedDate: float64(now.Truncate(24 * time.Hour).Unix()),
	}, true
}

func (r *region) getParameter(body []byte, now time.Time) (any, *apiError) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	if err := decodeJSON(body, &in); err != nil {
		return nil, err
	}
	p, ok := r.parameter(in.Name, now)
	if !ok {
		return nil, refuse("ParameterNotFound", "Parameter %s not found.", in.Name)
	}
	return map[string]any{"Parameter": p}, nil
}

func (r *region) getParameters(body []byte, now time.Time) (any, *apiError) {
	var in struct {
		Names          []string
		WithDecryption bool
	}
	if err := decodeJSON(body, &in); err != nil {
		return nil, err
	}
	if len(in.Names) == 0 || len(in.Names) > 10 {
		return nil, refuse("ValidationException", "Names must have 1 to 10 members")
	}
	var out struct {
		InvalidParameters []string
		Parameters        []parameterJSON
	}
	for _, name := range in.Names {
		if p, ok := r.parameter(name, now); ok {
			out.Parameters = append(out.Parameters, p)
		} else {
			out.InvalidParameters = append(out.InvalidParameters, name)
		}
	}
	return out, nil
}
