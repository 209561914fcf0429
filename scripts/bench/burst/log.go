package burst

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"
)

// told is what the launcher's log tells of a burst: for each pod, when its stage was over.
type told struct {
	handedOver, batchClosed, planned []time.Time
	batches                          int
}

// logLine is a line of klog's that counts pods.
var logLine = regexp.MustCompile(`^I(\d{4} \d{2}:\d{2}:\d{2}\.\d{6}) .*\] "(pods handed over|batch closed|planned)" .*?\b(?:new|pods)=(\d+)( new=(\d+))?`)

// readLog reads what was logged from an offset on.
func readLog(file string, offset int64) (told, error) {
	f, err := os.Open(file)
	if err != nil {
		return told{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return told{}, err
	}
	return parseLog(f, time.Now())
}

// parseLog reads lines of the year, and in the time zone, of now.
func parseLog(r io.Reader, now time.Time) (told, error) {
	var t told
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := logLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := time.ParseInLocation("2006 0102 15:04:05.000000", fmt.Sprintf("%d %s", now.Year(), m[1]), now.Location())
		if err != nil {
			return t, err
		}
		number := m[3]
		if m[5] != "" { // of the pods, those that were not known before
			number = m[5]
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return t, err
		}
		var stage *[]time.Time
		switch m[2] {
		case "pods handed over":
			stage = &t.handedOver
		case "batch closed":
			stage, t.batches = &t.batchClosed, t.batches+1
		case "planned":
			stage = &t.planned
		}
		for range n {
			*stage = append(*stage, at)
		}
	}
	return t, lines.Err()
}
