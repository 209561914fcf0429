package simec2

import "encoding/xml"

const userARN = "arn:aws:iam::" + accountID + ":user/slipway"

type callerIdentityAnswer struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	ARN       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

func callerIdentity(requestID string) *callerIdentityAnswer {
	return &callerIdentityAnswer{
		ARN: userARN, UserID: "AIDASLIPWAYSIMULATED0", Account: accountID, RequestID: requestID,
	}
}
