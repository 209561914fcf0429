package demo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// told are the launcher's log lines that belong on the timeline.
var told = []string{`"batch closed"`, `"planned"`}

var logHeader = regexp.MustCompile(`^[IWE]\d{4} \S+\s+\d+ \S+\] `)

// tailLog copies the launcher's telling lines to the timeline until ctx ends, in a goroutine
// of wg's. What the log holds already is passed over.
func tailLog(ctx context.Context, wg *sync.WaitGroup, file string, t *timeline) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	wg.Go(func() {
		defer f.Close() //nolint:errcheck // only read
		reader, partial := bufio.NewReader(f), ""
		for ctx.Err() == nil {
			line, err := reader.ReadString('\n')
			partial += line
			if errors.Is(err, io.EOF) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if err != nil {
				return
			}
			for _, what := range told {
				if strings.Contains(partial, what) {
					t.say("%s", plain(partial))
				}
			}
			partial = ""
		}
	})
	return nil
}

// plain takes the header and the quotes off a log line.
func plain(line string) string {
	line = logHeader.ReplaceAllString(strings.TrimSpace(line), "")
	line = strings.ReplaceAll(line, `logger="allocate" `, "")
	return strings.ReplaceAll(line, `"`, "")
}
