package simec2

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
)

// PoolMatch names pools of a CreateFleet call; what is left out matches any.
type PoolMatch struct {
	InstanceType string `json:"instanceType,omitempty"`
	Zone         string `json:"zone,omitempty"`
	CapacityType string `json:"capacityType,omitempty"`
}

func (m PoolMatch) holds(k poolKey) bool {
	return (m.InstanceType == "" || m.InstanceType == k.instanceType) &&
		(m.Zone == "" || m.Zone == k.zone) &&
		(m.CapacityType == "" || m.CapacityType == k.capacityType)
}

// refusal is the error that faults have for a pool, nil when there is none.
func refusal(faults []Fault, k poolKey) *apiError {
	for _, f := range faults {
		if f.Pools.holds(k) {
			return f.err()
		}
	}
	return nil
}

// denial is what EC2 tells, encoded, of a call that a policy forbids.
type denial struct {
	Allowed      bool          `json:"allowed"`
	ExplicitDeny bool          `json:"explicitDeny"`
	Context      denialContext `json:"context"`
}

type denialContext struct {
	Principal map[string]string `json:"principal"`
	Action    string            `json:"action"`
	Resource  string            `json:"resource"`
}

// EncodedDenial is the message of an UnauthorizedOperation, which
// DecodeAuthorizationMessage of STS decodes.
func EncodedDenial(action, resource string) string {
	doc, err := json.Marshal(denial{Context: denialContext{
		Principal: map[string]string{"arn": userARN}, Action: action, Resource: resource,
	}})
	if err != nil {
		panic(err) // strings marshal
	}
	return "You are not authorized to perform this operation. User: " + userARN +
		" is not authorized to perform this operation. Encoded authorization failure message: " + base64.RawURLEncoding.EncodeToString(doc)
}

type decodedMessageAnswer struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ DecodeAuthorizationMessageResponse"`
	Message   string   `xml:"DecodeAuthorizationMessageResult>DecodedMessage"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

func decodeMessage(p *params, requestID string) (any, *apiError) {
	encoded := p.required("EncodedMessage")
	if err := p.finish(); err != nil {
		return nil, err
	}
	doc, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !json.Valid(doc) {
		return nil, refuse("InvalidAuthorizationMessageException", "The message could not be decoded: it is not one of this region's")
	}
	return &decodedMessageAnswer{Message: string(doc), RequestID: requestID}, nil
}
