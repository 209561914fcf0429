// Package input owns how the command says that what it was given is wrong.
package input

import (
	"errors"
	"fmt"
)

// ErrWrong is wrapped by every error about what the user gave: files and flags.
var ErrWrong = errors.New("wrong input")

// Error is one thing that is wrong in a file.
type Error struct {
	File string
	Line int // from 1
	// Subject is the object, such as "Deployment default/web"; empty where it is not known.
	Subject string
	Detail  string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Subject == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Detail)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Subject, e.Detail)
}

// Unwrap returns ErrWrong.
func (e *Error) Unwrap() error { return ErrWrong }
