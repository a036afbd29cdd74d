package rule

import (
	"fmt"
	"strings"
	"testing"
)

// sigmaRule writes a rule about new processes with a detection.
func sigmaRule(title, detection string) string {
	return fmt.Sprintf("title: %s\nlogsource:\n  category: process_creation\n  product: linux\ndetection:\n  %s\n", title, strings.ReplaceAll(strings.TrimSpace(detection), "\n", "\n  "))
}

// sigmaMatches reports whether one rule matches the exec of "nc -l -p 4444".
func sigmaMatches(t testing.TB, detection string) bool {
	t.Helper()
	return len(matches(mustLoad(t, sigmaRule("r", detection)), execEvent())) == 1
}

func TestSigmaModifiers(t *testing.T) {
	for _, tt := range []struct {
		item string
		want bool
	}{
		{"CommandLine: nc -l -p 4444", true},
		{"CommandLine: NC -L -P 4444", true},
		{"CommandLine|cased: NC -L -P 4444", false},
		{"CommandLine: nc", false},
		{"CommandLine: nc*4444", true},
		{"CommandLine: 'nc -?  *'", false},
		{"CommandLine: 'nc -? *'", true},
		{"CommandLine: 'nc -l -p 444\\?'", false},
		{"CommandLine|contains: ' -L '", true},
		{"CommandLine|contains|cased: ' -L '", false},
		{"CommandLine|contains: [x, ' -p']", true},
		{"CommandLine|contains|all: [x, ' -p']", false},
		{"CommandLine|contains|all: [' -l', ' -p']", true},
		{"CommandLine|startswith: [x, nc]", true},
		{"CommandLine|endswith: '4444'", true},
		{"CommandLine|endswith: 4444", true},
		{"CommandLine|contains: '-l*44'", true},
		{"Image|endswith: /nc.openbsd", true},
		{"Image|endswith: /NC.OPENBSD", true},
		{"Image: /usr/bin/nc.openbsd", true},
		{"Image|startswith: [/bin/, /usr/]", true},
		{"ParentImage|endswith: /bash", true},
		{"ParentCommandLine: -bash", true},
		{"User: ROOT", true},
		{"CurrentDirectory: /root", true},
		{"CurrentDirectory: /root/", true},
		{"ProcessId: 200", true},
		{"ProcessId|gt: 199", true},
		{"ProcessId|gte: 201", false},
		{"ProcessId|lt: [5, 201]", true},
		{"ProcessId|lte: 200", true},
		{"ProcessId: [1, 200]", true},
		{"ProcessId|startswith: 20", true},
		{"ProcessId|neq: 200", false},
		{"CommandLine|neq: x", true},
		{"CommandLine|re: 'nc .*-p [0-9]+$'", true},
		{"CommandLine|re: '^-l'", false},
		{"CommandLine|re: '-L'", false},
		{"CommandLine|re|i: '-L'", true},
		{"CommandLine|re: ['x{3}', '4{4}']", true},
		{"CommandLine|exists: true", true},
		{"CommandLine|exists: false", false},
		{"bc.proc.script|exists: false", true},
		{"bc.proc.script: null", true},
		{"bc.proc.script: ''", true},
		{"CommandLine: null", false},
		{"CommandLine: ''", false},
		{"CommandLine: [null, 'nc *']", true},
		{"CommandLine: '*'", true},
		{"bc.proc.script: '*'", false},
		{"CommandLine|windash|contains: ' /p '", true},
		{"CommandLine|contains: ' /p '", false},
		{"CommandLine|fieldref: CommandLine", true},
		{"CommandLine|fieldref: ParentCommandLine", false},
		{"CommandLine|fieldref|neq: ParentCommandLine", true},
		{"ParentImage|endswith|fieldref: ParentCommandLine", false},
		{"proc.name: nc", true},
		{"ProcessId|fieldref: ParentProcessId", false},
	} {
		if got := sigmaMatches(t, "s:\n  "+tt.item+"\ncondition: s"); got != tt.want {
			t.Errorf("%s: matches %v, want %v", tt.item, got, tt.want)
		}
	}
}
