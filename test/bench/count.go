package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// eventLine is what the benchmark needs of a line of Bearcat's JSON.
type eventLine struct {
	Type string `json:"type"`
	Lost int    `json:"lost"`
	Gap  struct {
		N int `json:"n"`
	} `json:"gap"`
	Process struct {
		Exe struct {
			Path string `json:"path"`
		} `json:"exe"`
	} `json:"process"`
	Call struct {
		Path struct {
			Path string `json:"path"`
		} `json:"path"`
	} `json:"call"`
}

// countJSON counts Bearcat's events in dir: execs of the target, the load's opens
// and connects, losses on the way from the kernel and on the way out, alerts.
func countJSON(dir string, t Tools) (Counts, error) {
	f, err := os.Open(filepath.Join(dir, outputName))
	if errors.Is(err, os.ErrNotExist) {
		// without events there may have been nothing to write
		return Counts{}, nil
	}
	if err != nil {
		return Counts{}, fmt.Errorf("counting events: %w", err)
	}
	defer f.Close()
	return countJSONLines(f, t)
}

func countJSONLines(r io.Reader, t Tools) (Counts, error) {
	c := Counts{Seen: map[string]int{}}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err == io.EOF {
			return c, nil
		}
		if err != nil && err != io.EOF {
			return c, fmt.Errorf("counting events: %w", err)
		}
		var e eventLine
		if err := json.Unmarshal(line, &e); err != nil {
			return c, fmt.Errorf("counting events: line %d is not JSON: %w", n, err)
		}
		switch e.Type {
		case "exec":
			if e.Process.Exe.Path == t.Target {
				c.Seen["exec"]++
			}
		case "open":
			if e.Process.Exe.Path == t.Load && e.Call.Path.Path == t.Script {
				c.Seen["open"]++
			}
		case "connect":
			if e.Process.Exe.Path == t.Load {
				c.Seen["connect"]++
			}
		case "gap":
			c.Lost += e.Gap.N
		case "output_loss":
			c.Lost += e.Lost
		case "alert":
			c.Alerts++
		}
	}
}

// countLibbpf counts the lines of the three tools about the load.
func countLibbpf(dir string, t Tools) (Counts, error) {
	target, load := filepath.Base(t.Target), filepath.Base(t.Load)
	return countLines(dir, func(file string, f []string) string {
		switch {
		case file == "execsnoop.out" && len(f) > 1 && f[0] == target:
			return "exec"
		case file == "opensnoop.out" && len(f) > 2 && f[1] == load && f[len(f)-1] == t.Script:
			return "open"
		case file == "tcpconnect.out" && len(f) > 2 && f[1] == load:
			return "connect"
		}
		return ""
	})
}

func countBpftrace(dir string, t Tools) (Counts, error) {
	load := filepath.Base(t.Load)
	return countLines(dir, func(_ string, f []string) string {
		switch {
		case len(f) < 3 || f[2] != load:
		case len(f) == 3 && f[0] == "connect":
			return "connect"
		case len(f) == 4 && f[0] == "exec" && f[3] == t.Target:
			return "exec"
		case len(f) == 4 && f[0] == "open" && f[3] == t.Script:
			return "open"
		}
		return ""
	})
}

var lostText = regexp.MustCompile(`(?i)\blost (\d+) events`)

// countLines reads every .out and .err file in dir; which names the workload
// that a line of words belongs to.
func countLines(dir string, which func(file string, words []string) string) (Counts, error) {
	c := Counts{Seen: map[string]int{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil {
		return c, fmt.Errorf("counting events: %w", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("counting events: %w", err)
		}
		for line := range strings.Lines(string(b)) {
			if m := lostText.FindStringSubmatch(line); m != nil {
				n, _ := strconv.Atoi(m[1])
				c.Lost += n
				continue
			}
			if w := which(filepath.Base(file), strings.Fields(line)); w != "" {
				c.Seen[w]++
			}
		}
	}
	return c, nil
}
