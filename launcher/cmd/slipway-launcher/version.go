package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

const (
	// upgradeTakes is how long nothing but a new version must have been answered before it
	// counts: while a control plane is upgraded, some of its API servers are old and some new,
	// and nodes would be replaced to and fro.
	upgradeTakes = 10 * time.Minute
	// versionTimeout bounds one look.
	versionTimeout = 10 * time.Second
)

// serverVersion is the API server's minor version, such as 1.36, as it is now.
type serverVersion struct {
	read  func(context.Context) (string, error)
	clock clock.PassiveClock

	mu    sync.Mutex
	known string
	other string    // answered lately, and since then nothing else
	since time.Time // of other
}

// get asks the API server.
func (v *serverVersion) get(ctx context.Context) (string, error) {
	answer, err := v.read(ctx)
	if err != nil {
		return "", fmt.Errorf("API server's version: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.known == "", answer == v.known, answer == v.other && v.clock.Since(v.since) >= upgradeTakes:
		v.known, v.other = answer, ""
	case answer != v.other:
		v.other, v.since = answer, v.clock.Now()
	}
	return v.known, nil
}

// readVersion asks for /version, which the discovery client does without a deadline.
func readVersion(client rest.Interface) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, versionTimeout)
		defer cancel()
		body, err := client.Get().AbsPath("/version").Do(ctx).Raw()
		if err != nil {
			return "", err
		}
		var info apiversion.Info
		if err := json.Unmarshal(body, &info); err != nil {
			return "", err
		}
		return info.Major + "." + strings.TrimRight(info.Minor, "+"), nil
	}
}
