package devcluster

import (
	"errors"
	"fmt"
	"net"
	"testing"
)

// TestOnFreePorts: no address twice, and others after one was taken in between.
func TestOnFreePorts(t *testing.T) {
	broken := errors.New("broken")
	taken := fmt.Errorf("start: %w", ErrPortTaken)
	tests := []struct {
		name    string
		answers []error
		want    error
	}{
		{name: "at once", answers: []error{nil}},
		{name: "taken once", answers: []error{taken, nil}},
		{name: "taken for ever", answers: []error{taken, taken, taken}, want: ErrPortTaken},
		{name: "fails otherwise", answers: []error{broken}, want: broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(map[string]bool)
			calls := 0
			err := OnFreePorts(3, func(addresses []string) error {
				for _, at := range addresses {
					listener, err := net.Listen("tcp", at)
					if err != nil {
						t.Errorf("%s is not free: %v", at, err)
						continue
					}
					defer listener.Close()
					if seen[at] {
						t.Errorf("%s was handed out before", at)
					}
					seen[at] = true
				}
				calls++
				return tt.answers[calls-1]
			})
			if !errors.Is(err, tt.want) || calls != len(tt.answers) || len(seen) != 3*calls {
				t.Errorf("error %v after %d calls with %d addresses, want %v after %d", err, calls, len(seen), tt.want, len(tt.answers))
			}
		})
	}
}
