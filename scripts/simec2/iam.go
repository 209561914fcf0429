package simec2

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	iamVersion = "2010-05-08"
	// profileLag is how long EC2 does not know of an instance profile that was
	// changed just now.
	profileLag = 8 * time.Second
)

// instanceProfile is one of the account, whatever the region.
type instanceProfile struct {
	id, name, path string
	role           string // empty without one
	created        time.Time
	usableAt       time.Time // by EC2
	tags           map[string]string
}

func (i *instanceProfile) arn() string {
	return "arn:aws:iam::" + accountID + ":instance-profile" + i.path + i.name
}

// identities is the part of IAM that instances need. Roles are made by the
// test or by hand, instance profiles also by API.
type identities struct {
	roles    []string
	profiles map[string]*instanceProfile
}

// newIdentities holds the role and the instance profile that a cluster's
// set-up makes for its nodes, and the further roles given.
func newIdentities(cfg Config) identities {
	node := "slipway-node-" + cfg.ClusterName
	return identities{
		roles:    append([]string{node}, cfg.Roles...),
		profiles: map[string]*instanceProfile{node: {id: "AIPASLIPWAYSIMULATED", name: node, path: "/", role: node}},
	}
}

// usable says why EC2 cannot launch with the profile, given by name or ARN.
func (d *identities) usable(ref string, now time.Time) *apiError {
	if ref == "" {
		return nil
	}
	for _, i := range d.profiles {
		if (i.name == ref || i.arn() == ref) && i.role != "" && !i.usableAt.After(now) {
			return nil
		}
	}
	return refuse("InvalidParameterValue", "Value (%s) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", ref)
}

func iamProtocol() protocol {
	return protocol{service: "iam", content: "text/xml", encode: encodeXML, failure: func(e *apiError, id string) any {
		return iamErrorBody{Type: "Sender", Code: e.code, Message: e.message, RequestID: id}
	}}
}

type iamErrorBody struct {
	XMLName   xml.Name `xml:"https://iam.amazonaws.com/doc/2010-05-08/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func (s *Server) parseIAM(p *params, action, auth string) *request {
	return &request{
		protocol: iamProtocol(), action: action, auth: auth, params: p,
		serve: func(now time.Time, requestID string) (any, *apiError) {
			handler, ok := s.region.identities.actions()[action]
			if !ok {
				return nil, refuse("InvalidAction", "The action %s is not simulated", action)
			}
			result, err := handler(p, now)
			if err != nil {
				return nil, err
			}
			return &iamAnswer{action: action, result: result, requestID: requestID}, nil
		},
	}
}

func (d *identities) actions() map[string]func(*params, time.Time) (any, *apiError) {
	return map[string]func(*params, time.Time) (any, *apiError){
		"AddRoleToInstanceProfile":      d.addRole,
		"CreateInstanceProfile":         d.createProfile,
		"DeleteInstanceProfile":         d.deleteProfile,
		"GetInstanceProfile":            d.getProfile,
		"ListInstanceProfiles":          d.listProfiles,
		"RemoveRoleFromInstanceProfile": d.removeRole,
	}
}

// profileNamed reads the parameter that names a profile, which must exist.
func (d *identities) profileNamed(p *params) *instanceProfile {
	name := p.required("InstanceProfileName")
	i, ok := d.profiles[name]
	if !ok {
		p.form.complain(&apiError{
			code: "NoSuchEntity", message: "Instance Profile " + name + " cannot be found.", status: http.StatusNotFound,
		})
	}
	return i
}

func (d *identities) createProfile(p *params, now time.Time) (any, *apiError) {
	name, path := p.required("InstanceProfileName"), p.str("Path")
	setDefault(&path, "/")
	tags := map[string]string{}
	for _, t := range p.structs("Tags.member") {
		tags[t.required("Key")] = t.str("Value")
	}
	if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") || len(path) > 512 || len(name) > 128 {
		p.reject("ValidationError", "The path %s or the name %s is malformed or too long", path, name)
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	if _, ok := d.profiles[name]; ok {
		return nil, &apiError{code: "EntityAlreadyExists", message: "Instance Profile " + name + " already exists.", status: http.StatusConflict}
	}
	i := &instanceProfile{id: "AIPA" + strings.ToUpper(name[max(0, len(name)-16):]), name: name, path: path, created: now, tags: tags}
	d.profiles[name] = i
	return profileResult{i.xml()}, nil
}

func (d *identities) getProfile(p *params, _ time.Time) (any, *apiError) {
	i := d.profileNamed(p)
	if err := p.finish(); err != nil {
		return nil, err
	}
	return profileResult{i.xml()}, nil
}

func (d *identities) listProfiles(p *params, _ time.Time) (any, *apiError) {
	prefix := p.str("PathPrefix")
	p.integer("MaxItems", 100, 1, 1000)
	p.str("Marker")
	if err := p.finish(); err != nil {
		return nil, err
	}
	var list profileList
	for _, i := range d.profiles {
		if strings.HasPrefix(i.path, prefix) {
			list.Profiles = append(list.Profiles, i.xml())
		}
	}
	slices.SortFunc(list.Profiles, func(a, b profileXML) int { return strings.Compare(a.Name, b.Name) })
	if len(list.Profiles) > 100 {
		return nil, refuse("ServiceFailure", "Pages of instance profiles are not simulated, and there are more than one has")
	}
	return list, nil
}

func (d *identities) addRole(p *params, now time.Time) (any, *apiError) {
	i, role := d.profileNamed(p), p.required("RoleName")
	if err := p.finish(); err != nil {
		return nil, err
	}
	if !slices.Contains(d.roles, role) {
		return nil, &apiError{code: "NoSuchEntity", message: "The role with name " + role + " cannot be found.", status: http.StatusNotFound}
	}
	if i.role != "" {
		return nil, &apiError{
			code: "LimitExceeded", message: "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", status: http.StatusConflict,
		}
	}
	i.role, i.usableAt = role, now.Add(profileLag)
	return nil, nil
}

func (d *identities) removeRole(p *params, _ time.Time) (any, *apiError) {
	i, role := d.profileNamed(p), p.required("RoleName")
	if err := p.finish(); err != nil {
		return nil, err
	}
	if i.role != role {
		return nil, &apiError{code: "NoSuchEntity", message: "The role " + role + " is not in the instance profile.", status: http.StatusNotFound}
	}
	i.role = ""
	return nil, nil
}

func (d *identities) deleteProfile(p *params, _ time.Time) (any, *apiError) {
	i := d.profileNamed(p)
	if err := p.finish(); err != nil {
		return nil, err
	}
	if i.role != "" {
		return nil, &apiError{code: "DeleteConflict", message: "Cannot delete entity, must remove roles from instance profile first.", status: http.StatusConflict}
	}
	delete(d.profiles, i.name)
	return nil, nil
}

type profileXML struct {
	Path       string    `xml:"Path"`
	Name       string    `xml:"InstanceProfileName"`
	ID         string    `xml:"InstanceProfileId"`
	ARN        string    `xml:"Arn"`
	CreateDate string    `xml:"CreateDate"`
	Roles      []roleXML `xml:"Roles>member"`
	Tags       []tagJSON `xml:"Tags>member"`
}

// tagJSON is a tag with upper-case names, as IAM writes them.
type tagJSON struct{ Key, Value string }

type roleXML struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               string
	AssumeRolePolicyDocument string
}

func (i *instanceProfile) xml() profileXML {
	x := profileXML{Path: i.path, Name: i.name, ID: i.id, ARN: i.arn(), CreateDate: wireTime(i.created)}
	if i.role != "" {
		x.Roles = []roleXML{{
			Path: "/", RoleName: i.role, RoleID: "AROASLIPWAYSIMULATED", ARN: "arn:aws:iam::" + accountID + ":role/" + i.role,
			CreateDate: wireTime(i.created), AssumeRolePolicyDocument: "%7B%7D",
		}}
	}
	for _, t := range tagSet(i.tags) {
		x.Tags = append(x.Tags, tagJSON(t))
	}
	return x
}

type profileResult struct {
	Profile profileXML `xml:"InstanceProfile"`
}

type profileList struct {
	Profiles  []profileXML `xml:"InstanceProfiles>member"`
	Truncated bool         `xml:"IsTruncated"`
}

// iamAnswer wraps a result in the two elements that are named after the action.
type iamAnswer struct {
	action    string
	result    any // nil for none
	requestID string
}

// MarshalXML implements xml.Marshaler.
func (a *iamAnswer) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	outer := xml.StartElement{Name: xml.Name{Space: "https://iam.amazonaws.com/doc/" + iamVersion + "/", Local: a.action + "Response"}}
	if err := e.EncodeToken(outer); err != nil {
		return err
	}
	if a.result != nil {
		if err := e.EncodeElement(a.result, xml.StartElement{Name: xml.Name{Local: a.action + "Result"}}); err != nil {
			return err
		}
	}
	metadata := struct {
		RequestID string `xml:"RequestId"`
	}{a.requestID}
	if err := e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(outer.End())
}
