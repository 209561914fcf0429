package simec2

import "encoding/xml"

// tokenKey scopes a client token to its action, as EC2 does.
type tokenKey struct{ action, token string }

// tokenUse is the request a token was first used for, and its answer.
type tokenUse struct {
	paramsHash string
	answer     any
}

// once serves a request under its client token: the same request again gets
// the first answer, other parameters are refused. Requests without a token, and
// requests that failed, leave no trace.
func (r *region) once(action, token, paramsHash string, serve func() (any, *apiError)) (any, *apiError) {
	if token == "" {
		return serve()
	}
	if err := checkToken(token); err != nil {
		return nil, err
	}
	key := tokenKey{action, token}
	if use, ok := r.tokens[key]; ok {
		if use.paramsHash != paramsHash {
			return nil, refuse("IdempotentParameterMismatch",
				"The client token '%s' was already used for a request with other parameters.", token)
		}
		return use.answer, nil
	}
	answer, err := serve()
	if err == nil {
		r.tokens[key] = tokenUse{paramsHash, answer}
	}
	return answer, err
}

func checkToken(token string) *apiError {
	ascii := true
	for _, c := range token {
		ascii = ascii && c >= ' ' && c <= '~'
	}
	if len(token) > 64 || !ascii {
		return refuse("InvalidParameterValue", "ClientToken must be at most 64 ASCII characters.")
	}
	return nil
}

// tagXML is a tag in requests' answers.
type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// Meta is embedded in every answer of the EC2 Query protocol; encoding/xml needs
// it exported.
type Meta struct {
	RequestID string `xml:"requestId"`
	root      xml.StartElement
}

func (m *Meta) stamp(action, id string) {
	m.RequestID = id
	m.root.Name = xml.Name{Space: "http://ec2.amazonaws.com/doc/" + ec2Version + "/", Local: action + "Response"}
}

// start is the answer's outermost element.
func (m *Meta) start() xml.StartElement { return m.root }
