package simec2

import (
	"encoding/xml"
	"fmt"
	"net/http"
)

// apiError is an error as AWS reports it to the caller.
type apiError struct {
	code    string
	message string
	status  int
	// queryCode is the code in the Query protocol, where it differs.
	queryCode string
}

func (e *apiError) inQuery() string {
	if e.queryCode != "" {
		return e.queryCode
	}
	return e.code
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// refuse is an error that the caller caused.
func refuse(code, format string, args ...any) *apiError {
	return &apiError{code: code, message: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

func throttled(action string) *apiError {
	return &apiError{
		code:    "RequestLimitExceeded",
		message: "Request limit exceeded for " + action + ".",
		status:  http.StatusServiceUnavailable,
	}
}

// ec2ErrorBody is the EC2 Query protocol's error document.
type ec2ErrorBody struct {
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

// stsErrorBody is the AWS Query protocol's error document.
type stsErrorBody struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// jsonErrorBody is the AWS JSON 1.1 protocol's error document.
type jsonErrorBody struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
}
