package simec2

type createFleetAnswer struct {
	Meta
	FleetID   string             `xml:"fleetId"`
	Errors    []fleetErrorXML    `xml:"errorSet>item"`
	Instances []fleetInstanceXML `xml:"fleetInstanceSet>item"`
}

type fleetErrorXML struct {
	Where     whereXML `xml:"launchTemplateAndOverrides"`
	Lifecycle string   `xml:"lifecycle"`
	Code      string   `xml:"errorCode"`
	Message   string   `xml:"errorMessage"`
}

type fleetInstanceXML struct {
	Where        whereXML `xml:"launchTemplateAndOverrides"`
	Lifecycle    string   `xml:"lifecycle"`
	InstanceIDs  []string `xml:"instanceIds>item"`
	InstanceType string   `xml:"instanceType"`
	Zone         string   `xml:"availabilityZone"`
	ZoneID       string   `xml:"availabilityZoneId"`
	SubnetID     string   `xml:"subnetId"`
}

// whereXML names the launch template and the override that gave the result.
type whereXML struct {
	TemplateID string      `xml:"launchTemplateSpecification>launchTemplateId"`
	Version    int64       `xml:"launchTemplateSpecification>version"`
	Overrides  overrideXML `xml:"overrides"`
}

type overrideXML struct {
	InstanceType string `xml:"instanceType,omitempty"`
	SubnetID     string `xml:"subnetId,omitempty"`
	Zone         string `xml:"availabilityZone,omitempty"`
	ImageID      string `xml:"imageId,omitempty"`
	MaxPrice     string `xml:"maxPrice,omitempty"`
	Priority     string `xml:"priority,omitempty"`
}

func (pool *fleetPool) where() whereXML {
	return whereXML{TemplateID: pool.template.id, Version: 1, Overrides: pool.echo}
}
