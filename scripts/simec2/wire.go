package simec2

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

const (
	ec2Version = "2016-11-15"
	stsVersion = "2011-06-15"
	maxBody    = 4 << 20
)

// protocol is how a service's answers and errors are written.
type protocol struct {
	service string
	content string
	failure func(e *apiError, requestID string) any
	encode  func(v any) ([]byte, error)
	header  func(h http.Header, e *apiError) // of an error; nil for none
}

func ec2Protocol() protocol {
	return protocol{service: "ec2", content: "text/xml;charset=UTF-8", encode: encodeXML, failure: func(e *apiError, id string) any {
		return ec2ErrorBody{Code: e.code, Message: e.message, RequestID: id}
	}}
}

func stsProtocol() protocol {
	return protocol{service: "sts", content: "text/xml", encode: encodeXML, failure: func(e *apiError, id string) any {
		return stsErrorBody{Type: "Sender", Code: e.code, Message: e.message, RequestID: id}
	}}
}

func jsonProtocol(service string) protocol {
	return protocol{service: service, content: "application/x-amz-json-1.1", encode: json.Marshal, failure: func(e *apiError, _ string) any {
		return jsonErrorBody{Type: e.code, Message: e.message}
	}}
}

func encodeXML(v any) ([]byte, error) {
	b := bytes.NewBufferString(xml.Header)
	enc := xml.NewEncoder(b)
	var err error
	if named, ok := v.(interface{ start() xml.StartElement }); ok {
		err = enc.EncodeElement(v, named.start())
	} else {
		err = enc.Encode(v)
	}
	return b.Bytes(), err
}

// request is one API call on its way through the server.
type request struct {
	protocol protocol
	action   string
	auth     string
	body     []byte                         // JSON protocols
	params   *params                        // Query protocols
	wait     func(ctx context.Context) bool // holds a long poll; false when the caller has gone
	serve    func(now time.Time, requestID string) (any, *apiError)
}

// ServeHTTP answers AWS calls at / and the control API below /_sim/.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	if strings.HasPrefix(hr.URL.Path, controlPrefix) {
		s.control(w, hr)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if hr.Method != http.MethodPost || hr.URL.Path != "/" && hr.URL.Path != s.region.queue.path() {
		http.Error(w, "AWS calls are POST to /, or to the queue's URL", http.StatusMethodNotAllowed)
		return
	}
	req := s.parse(hr, body)
	s.answer(hr.Context(), w, req)
}

// parse finds out which service and action a request is for. What it cannot
// tell is answered in the protocol it most looks like.
func (s *Server) parse(hr *http.Request, body []byte) *request {
	auth := hr.Header.Get("Authorization")
	if target := hr.Header.Get("X-Amz-Target"); target != "" {
		service, action, _ := strings.Cut(target, ".")
		if service == "AmazonSQS" {
			req := &request{protocol: sqsJSONProtocol(), action: action, auth: auth, body: body}
			s.sqsJSON(req)
			return req
		}
		req := &request{protocol: jsonProtocol(service), action: action, auth: auth, body: body}
		handler, ok := s.region.jsonActions()[target]
		req.serve = func(now time.Time, _ string) (any, *apiError) {
			if !ok {
				return nil, refuse("UnknownOperationException", "The operation %s is not simulated", target)
			}
			return handler(body, now)
		}
		return req
	}
	values, err := url.ParseQuery(string(body))
	p := newParams(values)
	if err != nil {
		p.reject("MalformedQueryString", "%v", err)
	}
	action, version := p.required("Action"), p.str("Version")
	switch version {
	case stsVersion:
		return s.parseSTS(p, action, auth)
	case sqsVersion:
		return s.parseSQS(p, action, auth)
	case iamVersion:
		return s.parseIAM(p, action, auth)
	}
	req := &request{protocol: ec2Protocol(), action: action, auth: auth, params: p}
	req.serve = func(now time.Time, requestID string) (any, *apiError) {
		if version != ec2Version {
			return nil, refuse("NoSuchVersion", "The version '%s' is not simulated; use %s", version, ec2Version)
		}
		return s.serveEC2(p, action, now, requestID)
	}
	return req
}

func (s *Server) parseSTS(p *params, action, auth string) *request {
	return &request{
		protocol: stsProtocol(), action: action, auth: auth, params: p,
		serve: func(_ time.Time, requestID string) (any, *apiError) {
			switch action {
			case "DecodeAuthorizationMessage":
				return decodeMessage(p, requestID)
			case "GetCallerIdentity":
				if err := p.finish(); err != nil {
					return nil, err
				}
				return callerIdentity(requestID), nil
			}
			return nil, refuse("InvalidAction", "The action %s is not simulated", action)
		},
	}
}

// sigV4 is the shape of an Authorization header; signatures are not verified.
var sigV4 = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/,\s]+/\d{8}/[a-z0-9-]+/[a-z0-9-]+/aws4_request, ?SignedHeaders=[a-z0-9;-]+, ?Signature=[0-9a-f]{64}$`)

func checkAuth(header string) *apiError {
	switch {
	case header == "":
		e := refuse("MissingAuthenticationToken", "Request is missing Authentication Token")
		e.status = http.StatusForbidden
		return e
	case !sigV4.MatchString(header):
		return refuse("IncompleteSignature", "The Authorization header is not a Signature Version 4 one")
	}
	return nil
}

// roundTrip is the least time a call takes, always real. Without it an answer
// can arrive while the caller's HTTP transport still ends its request: the AWS
// SDK (smithy-go v1.28.8, ClientHandler.Handle) then closes the request's body
// under the transport, which drops the connection in the middle of the answer.
const roundTrip = time.Millisecond

// answer serves the request under the lock and writes the outcome.
func (s *Server) answer(ctx context.Context, w http.ResponseWriter, req *request) {
	if !pause(ctx, clock.RealClock{}, roundTrip) {
		return // the caller has gone
	}
	s.mu.Lock()
	v := s.faults.judge(req.action)
	s.mu.Unlock()
	if v.latency > 0 && !pause(ctx, s.cfg.Clock, v.latency) {
		return
	}

	if req.wait != nil && v.before == nil && !req.wait(ctx) {
		return
	}

	s.mu.Lock()
	body, status, requestID := s.perform(req, v, w.Header())
	s.mu.Unlock()

	w.Header().Set("Content-Type", req.protocol.content)
	w.Header().Set("x-amzn-RequestId", requestID)
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewReader(body)) // a caller that hung up is its own affair
}

// pause waits for d; it reports false when ctx ends first.
func pause(ctx context.Context, clk clock.Clock, d time.Duration) bool {
	t := clk.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return true
	case <-ctx.Done():
		return false
	}
}

// perform serves the request and logs the call. The caller holds the lock.
func (s *Server) perform(req *request, v verdict, header http.Header) (body []byte, status int, requestID string) {
	now := s.advance()
	s.requests++
	requestID = fmt.Sprintf("00000000-0000-4000-8000-%012x", s.requests)
	call := Call{Time: now, Service: req.protocol.service, Action: req.action}
	if req.params != nil {
		call.ParamsHash = req.params.hash()
		call.ClientToken = req.params.form.values["ClientToken"]
	} else {
		call.ParamsHash = fmt.Sprintf("%016x", hash64(string(req.body)))
	}

	result, err := s.decide(req, v, now, requestID)
	call.InstanceIDs = instancesOf(req, result)
	if err == nil {
		err = v.after
	}
	status = http.StatusOK
	if err != nil {
		call.Error = err.code
		status, result = err.status, req.protocol.failure(err, requestID)
		if req.protocol.header != nil {
			req.protocol.header(header, err)
		}
	}
	s.calls.add(call)
	body, encodeErr := req.protocol.encode(result)
	if encodeErr != nil {
		return []byte(encodeErr.Error()), http.StatusInternalServerError, requestID
	}
	return body, status, requestID
}

// decide applies, in AWS's order: authentication, throttling, faults, the
// action itself.
func (s *Server) decide(req *request, v verdict, now time.Time, requestID string) (any, *apiError) {
	if err := checkAuth(req.auth); err != nil {
		return nil, err
	}
	if req.protocol.service == "ec2" {
		if err := s.draw(req, now); err != nil {
			return nil, err
		}
	}
	if v.before != nil {
		return nil, v.before
	}
	s.region.poolFaults = v.pools
	return req.serve(now, requestID)
}

// draw takes the request's tokens from its buckets.
func (s *Server) draw(req *request, now time.Time) *apiError {
	p := req.params
	narrowed := p.has("Filter") || p.has("MaxResults") || p.has("NextToken") || p.has("InstanceId")
	name, b := requestBucket(req.action, narrowed)
	if !s.throttle.allow(name, b, 1, now) {
		return throttled(req.action)
	}
	if b, ok := resourceBucket(req.action); ok {
		if n := len(p.list("InstanceId")); n > 0 && !s.throttle.allow(name+"/resources", b, n, now) {
			return throttled(req.action)
		}
	}
	return nil
}

// instancesOf lists the instances a call named or launched, for the log.
func instancesOf(req *request, result any) []string {
	if fleet, ok := result.(*createFleetAnswer); ok {
		var ids []string
		for _, i := range fleet.Instances {
			ids = append(ids, i.InstanceIDs...)
		}
		return ids
	}
	if req.params == nil {
		return nil
	}
	return req.params.list("InstanceId")
}
