package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestServerVersion: a new version counts when the API server has answered nothing else for a
// while.
func TestServerVersion(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
	var answer string
	var failure error
	v := &serverVersion{clock: clock, read: func(context.Context) (string, error) { return answer, failure }}
	for _, step := range []struct {
		name   string
		after  time.Duration
		answer string
		want   string
	}{
		{"the first", 0, "1.36", "1.36"},
		{"the same", time.Hour, "1.36", "1.36"},
		{"a new one", time.Hour, "1.37", "1.36"},
		{"and the old one", upgradeTakes - time.Second, "1.36", "1.36"},
		{"the new one again", time.Minute, "1.37", "1.36"},
		{"and again", upgradeTakes - time.Second, "1.37", "1.36"},
		{"for long", time.Second, "1.37", "1.37"},
		{"an older one", time.Hour, "1.36", "1.37"},
		{"a third", upgradeTakes, "1.38", "1.37"},
		{"for long", upgradeTakes, "1.38", "1.38"},
	} {
		clock.SetTime(clock.Now().Add(step.after))
		answer = step.answer
		if got, err := v.get(t.Context()); err != nil || got != step.want {
			t.Errorf("%s: %s, %v, want %s", step.name, got, err, step.want)
		}
	}
	failure = errors.New("gone")
	if got, err := v.get(t.Context()); !errors.Is(err, failure) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestReadVersion(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"major": "1", "minor": "36+", "gitVersion": "v1.36.3-eks-1234567"}`)) // a client that hung up fails itself
	}))
	t.Cleanup(server.Close)
	kube := kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL})
	got, err := readVersion(kube.Discovery().RESTClient())(t.Context())
	if err != nil || got != "1.36" {
		t.Errorf("%q, %v", got, err)
	}
}
