package ec2

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// builtIn holds a table for each region that there are figures of; the file is named after it.
// scripts/builtin writes them.
//
//go:embed builtin/*.txt
var builtIn embed.FS

// ErrNotBuiltIn says that nothing is built in of what a region sells. Another region's prices
// would be a guess, so there is none.
var ErrNotBuiltIn = errors.New("nothing is built in")

// Table is what AWS sold in a region on a day.
type Table struct {
	Date  time.Time // midnight UTC
	Types []Listed  // by name
}

// Listed is an instance type with its on-demand list price.
type Listed struct {
	Hardware
	Price  float64 // US dollars per hour
	NoSpot bool    // it is sold on demand only
}

// BuiltIn returns the table that is built in of a region. It holds the types that AL2023 runs
// on. The error wraps ErrNotBuiltIn where there is none.
func BuiltIn(region string) (Table, error) {
	text, err := builtIn.ReadFile("builtin/" + region + ".txt")
	if errors.Is(err, fs.ErrNotExist) {
		return Table{}, fmt.Errorf("%w of region %s", ErrNotBuiltIn, region)
	}
	if err != nil {
		return Table{}, err
	}
	t, err := ParseTable(string(text))
	if err != nil {
		return Table{}, fmt.Errorf("built-in table of %s: %w", region, err)
	}
	return t, nil
}
