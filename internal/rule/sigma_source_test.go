package rule

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// TestSigmaSources tries rules of each log source against events of all kinds.
func TestSigmaSources(t *testing.T) {
	events := callEvents()
	events["dns query"] = &event.Event{Type: event.DNS, Num: 1, Proc: execEvent().Proc, Call: &event.Call{Spec: event.CallNamed("dns"), DNS: &event.DNSInfo{Name: "Evil.Example.org", Type: "TXT"}}}
	events["dns answer"] = &event.Event{Type: event.DNS, Num: 1, Proc: execEvent().Proc, Call: &event.Call{Spec: event.CallNamed("dns"), DNS: &event.DNSInfo{
		Name: "evil.example.org", Type: "A", Response: true, Rcode: "NOERROR", Answers: []event.DNSAnswer{{Data: "192.0.2.1"}, {Data: "192.0.2.2"}}}}}
	for _, tt := range []struct{ source, detection, want string }{
		{"category: file_event", "TargetFilename: /etc/passwd", "openat"},
		{"category: file_event", "TargetFilename|startswith: /ETC/", "openat"},
		{"category: file_event", "TargetFilename: /root/b", "rename"},
		{"category: file_event", "TargetFilename: /tmp/s", "link, symlink"},
		{"category: file_event", "{TargetFilename|endswith: passwd, Image|endswith: /nc.openbsd}", "openat"},
		{"category: file_event", "TargetFilename|cased: /ETC/passwd", ""},
		{"category: network_connection", "DestinationIp: 192.0.2.1", "connect, connect mapped, connecting"},
		{"category: network_connection", "DestinationIp|cidr: [10.0.0.0/8, '192.0.2.0/24']", "accept, connect, connect mapped, connecting"},
		{"category: network_connection", "DestinationIp|startswith: '2001:DB8:'", "connect6"},
		{"category: network_connection", "{DestinationPort: 443, DestinationHostname|endswith: .ORG}", "connect, connecting"},
		{"category: network_connection", "{SourceIp: 192.0.2.7, DestinationPort: 22, Initiated: 'false'}", "accept"},
		{"category: network_connection", "Initiated: true", "connect, connect mapped, connect6, connecting, sendto"},
		{"category: network_connection", "DestinationPort: [22, 53]", "accept, sendto"},
		{"category: network_connection", "DestinationPort|startswith: 44", "connect, connect mapped, connect6, connecting"},
		{"category: dns_query", "QueryName|endswith: .example.org", "dns query"},
		{"category: dns_query", "QueryResults: 192.0.2.2", "dns, dns answer"},
		{"category: dns_query", "{QueryName|contains: evil, QueryResults|startswith: '192.'}", "dns answer"},
		{"category: dns", "record_type: TXT", "dns query"},
		{"service: auditd", "{type: EXECVE, a0: NC, a1: -l}", "execve"},
		{"service: auditd", "{type: EXECVE, a9|exists: true}", ""},
		{"service: auditd", "{type: SYSCALL, SYSCALL: fchmodat, a2: '9c9'}", "chmod"},
		{"service: auditd", "{type: SYSCALL, SYSCALL: fchmodat, a2: 9c9}", "chmod"},
		{"service: auditd", "{SYSCALL: [fchmod, rename], success: 'yes'}", "fchmod, rename"},
		{"service: auditd", "{SYSCALL: rename, success: no}", "rename failed"},
		{"service: auditd", "{type: SYSCALL, SYSCALL: execve, comm: nc}", "execve"},
		{"service: auditd", "{type: PATH, name: /etc/shadow}", "link, open failed"},
		{"service: auditd", "{type: PATH, name|endswith: nc.openbsd}", "execve"},
		{"service: auditd", "{type: PATH, nametype: CREATE, name: /tmp/s}", "link, symlink"},
		{"service: auditd", "[' -L ', nothing]", "execve"},
		{"service: auditd", "{'|all': [nc, '4444']}", "execve"},
	} {
		source := "  " + tt.source
		if strings.HasPrefix(tt.source, "service") {
			source += "\n  product: linux"
		}
		detection := tt.detection
		if !strings.ContainsAny(detection[:1], "[{") {
			detection = "{" + detection + "}"
		}
		set := mustLoad(t, fmt.Sprintf("title: r\nlogsource:\n%s\ndetection:\n  s: %s\n  condition: s\n", source, detection))
		var got []string
		for name, ev := range events {
			if len(matches(set, ev)) > 0 {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s %s: matches %q, want %q", tt.source, tt.detection, s, tt.want)
		}
	}
}

// TestSigmaOpens checks which opens and types of events rules ask the kernel for.
func TestSigmaOpens(t *testing.T) {
	rule := func(source, item string) *Set {
		return mustLoad(t, fmt.Sprintf("title: r\nlogsource:\n  product: linux\n  %s\ndetection:\n  s:\n    %s\n  condition: s\n", source, item))
	}
	set := rule("category: file_event", "TargetFilename|startswith: /etc/cron.d/")
	if got, want := set.Opens(), (Opens{Write: true}); got != want {
		t.Errorf("opens of a file_event rule: %+v, want %+v", got, want)
	}
	for _, typ := range []event.Type{event.Open, event.Rename, event.Link, event.Symlink, event.Mknod, event.Truncate} {
		if !slices.Contains(set.Types(), typ) {
			t.Errorf("a file_event rule does not ask for %s", typ)
		}
	}
	if f := set.OpenPaths().Write; f != nil {
		t.Errorf("paths of a rule without regard to case: %+v, want any", f)
	}
	f := rule("category: file_event", "TargetFilename|startswith|cased: /etc/cron.d/").OpenPaths().Write
	if f == nil || !f.Tops[[2]string{"etc", "cron.d"}] || len(f.Tops) != 1 {
		t.Errorf("paths of a rule with regard to case: %+v, want /etc/cron.d", f)
	}
	if got := rule("category: process_creation", "Image: /x").Types(); !slices.Equal(got, []event.Type{event.Exec}) {
		t.Errorf("types of a process_creation rule: %v", got)
	}
	if got := rule("category: network_connection", "DestinationPort: 1").Types(); !slices.Equal(got, []event.Type{event.Connect, event.Accept, event.Send}) {
		t.Errorf("types of a network_connection rule: %v", got)
	}
}

func TestSigmaConditions(t *testing.T) {
	const parts = "yes: {Image|endswith: /nc.openbsd}\nsel_a: {User: root}\nsel_b: {User: joe}\nsel_c: {ProcessId: 200}\n_hidden: {User: joe}\nlist:\n  - User: joe\n  - {User: root, ProcessId: 200}\nwords: [' -p ', nothing]\n"
	for cond, want := range map[string]bool{
		"yes": true, "not yes": false, "not not yes": true, "NOT sel_b": true,
		"yes and sel_b": false, "yes or sel_b": true, "yes AND (sel_b OR sel_a)": true,
		"sel_b and yes or yes": true, "sel_b and (yes or yes)": false, "not sel_b and yes": true, "not (sel_a or sel_b)": false,
		"1 of sel_*": true, "any of sel_*": true, "all of sel_*": false, "2 of sel_*": true, "3 of sel_*": false,
		"all of them": false, "1 of them": true, "1 of sel_b": false, "all of s*l_a": true, "not 1 of _*": true, "1 of *_hidden": false,
		"list": true, "words": true, "list and words and not 1 of _hidden*": true, "yes\n  and sel_a": true,
	} {
		if got := sigmaMatches(t, parts+fmt.Sprintf("condition: %q", cond)); got != want {
			t.Errorf("%s: matches %v, want %v", cond, got, want)
		}
	}
	if !sigmaMatches(t, parts+"condition: [sel_b, yes]") {
		t.Error("a list of conditions does not match by its second")
	}
}

func TestSigmaValues(t *testing.T) {
	event := func(cmdline string) *event.Event {
		ev := execEvent()
		ev.Proc = proc(300, "x", "/bin/x", nil, cmdline)
		return ev
	}
	for _, tt := range []struct {
		item, cmdline string
		want          bool
	}{
		{`CommandLine: 'a\*b'`, "a*b", true},
		{`CommandLine: 'a\*b'`, "axb", false},
		{`CommandLine: 'a\\*b'`, `a\xxb`, true},
		{`CommandLine: 'a\\\*b'`, `a\*b`, true},
		{`CommandLine: 'a\b'`, `a\b`, true},
		{`CommandLine: 'a\\b'`, `a\b`, true},
		{`CommandLine: 'a?c'`, "abc", true},
		{`CommandLine: 'a?c'`, "aäc", true},
		{`CommandLine: 'a?c'`, "ac", false},
		{`CommandLine: 'a**c'`, "abbc", true},
		{`CommandLine: '[a](b)|c{d}+$^.@!?'`, "[a](b)|c{d}+$^.@!x", true},
		{`CommandLine: '[a]'`, "a", false},
		{`CommandLine|contains: '?(a)'`, "xx(a)y", true},
		{`CommandLine|base64: 'curl '`, "Y3VybCA=", true},
		{`CommandLine|base64offset|contains: 'http://'`, "eCBodHRwOi8vZQ==", true},
		{`CommandLine|base64offset|contains: 'http://'`, "aHR0cDovL2U=", true},
		{`CommandLine|base64offset|contains: 'http://'`, "eHhodHRwOi8vZQ==", true},
		{`CommandLine|base64offset|contains: 'http://'`, "bm90aGluZyBvZiBpdA==", false},
		{`CommandLine|wide|base64offset|contains: ping`, "cABpAG4AZwA=", true},
		{`CommandLine|utf16be|base64: ab`, "AGEAYg==", true},
		{`CommandLine|utf16|base64: a`, "//5hAA==", true},
		{`CommandLine|windash|contains: ' -exec'`, "find / –exec", true},
		{`CommandLine|windash|contains: 'a-b'`, "a/b", false},
		{"CommandLine|contains: \"\\u00c4\"", "xÄ", true},
		{"CommandLine|contains: \"\\u00c4\"", "xä", false}, // as documented: of ASCII letters only
		{`CommandLine|re: 'a.c'`, "a\nc", false},
		{`CommandLine|re|s: 'a.c'`, "a\nc", true},
		{`CommandLine|re: '^c'`, "a\nc", false},
		{`CommandLine|re|m: '^c'`, "a\nc", true},
		{`CommandLine|re|i|m: '^C$'`, "a\nc\nd", true},
		{`CommandLine|re: 'a|b'`, "xxb", true},
	} {
		set := mustLoad(t, sigmaRule("r", "s:\n  "+tt.item+"\ncondition: s"))
		if got := len(matches(set, event(tt.cmdline))) == 1; got != tt.want {
			t.Errorf("%s on %q: %v, want %v\n%s", tt.item, tt.cmdline, got, tt.want, set.Rules()[0].Condition(true))
		}
	}
}

// TestSigmaImage checks that a program is found by the name under which it was
// started and by that of its file.
func TestSigmaImage(t *testing.T) {
	ev := execEvent()
	ev.Proc = proc(300, "sh", "/usr/bin/dash", nil, "sh", "-c", "x")
	ev.Proc.Image.Filename, ev.Proc.Image.Cwd = "../bin/sh", "/usr/lib"
	ev.Proc.Image.Seal()
	for image, want := range map[string]bool{"/usr/bin/dash": true, "/usr/bin/sh": true, "../bin/sh": false, "/bin/bash": false} {
		set := mustLoad(t, sigmaRule("r", "s:\n  Image: "+image+"\ncondition: s"))
		if got := len(matches(set, ev)) == 1; got != want {
			t.Errorf("Image %s: %v, want %v", image, got, want)
		}
	}
	if len(matches(mustLoad(t, sigmaRule("r", "s:\n  ParentImage|endswith: /bash\ncondition: s")), ev)) != 0 {
		t.Error("a parent is found where there is none")
	}
}

func TestSigmaMeta(t *testing.T) {
	text := "title: A title\nid: 5f0d6f4e-1111-4222-8333-444455556666\nname: a_name\nstatus: test\ndescription: |\n  What it\n  means.\nauthor: Jo\nreferences: [https://example.org/x]\n" +
		"tags: [attack.execution, attack.t1059.004]\nfalsepositives:\n  - Tests\n  - Others\nlevel: high\nfields: [CommandLine, CurrentDirectory]\nlogsource: {category: process_creation, product: linux}\ndetection:\n  s: {Image|endswith: /nc.openbsd}\n  condition: s\n"
	set := mustLoad(t, text)
	r := set.Rules()[0]
	i := r.Info()
	if i.Name != "A title" || i.Priority != event.ErrorLevel || i.Author != "Jo" || strings.Join(i.References, " ") != "https://example.org/x" ||
		i.FalsePositives != "Tests; Others" || len(i.Tags) != 2 || !strings.HasPrefix(i.Desc, "What it") {
		t.Errorf("info: %+v", i)
	}
	a := r.Alert(execEvent())
	if want := "A title (command=nc -l -p 4444 image=/usr/bin/nc.openbsd parent=/usr/bin/bash user=root CurrentDirectory=/root/)"; a.Output != want {
		t.Errorf("output %q, want %q", a.Output, want)
	}
	for level, want := range map[string]event.Priority{"informational": event.Informational, "low": event.Notice, "medium": event.Warning, "critical": event.CriticalLevel} {
		if got := mustLoad(t, strings.Replace(text, "level: high", "level: "+level, 1)).Rules()[0].Info().Priority; got != want {
			t.Errorf("level %s is %s, want %s", level, got, want)
		}
	}
	old := mustLoad(t, strings.Replace(text, "status: test", "status: deprecated", 1)).Rules()[0]
	if old.Status() != Disabled || old.Reason() != "its status is deprecated" {
		t.Errorf("a deprecated rule is %s: %s", old.Status(), old.Reason())
	}
}

// TestSigmaChanged changes Sigma rules from a file in Falco's language.
func TestSigmaChanged(t *testing.T) {
	sigma := sigmaRule("S", "s: {User|expand: '%admins%'}\ncondition: s")
	load := func(falco string) (*Set, *Report) {
		return Load([]File{{Name: "f.yaml", Data: []byte(falco)}, {Name: "s.yml", Data: []byte(sigma)}}, Options{})
	}
	const list = "- list: admins\n  items: [joe, Root]\n"
	for _, tt := range []struct {
		change string
		want   bool
	}{
		{"", true},
		{"- rule: S\n  override: {enabled: replace}\n  enabled: false\n", false},
		{"- rule: S\n  override: {exceptions: append}\n  exceptions: [{name: e, fields: [proc.name], values: [[nc]]}]\n", false},
		{"- rule: S\n  override: {exceptions: append}\n  exceptions: [{name: e, fields: [proc.name], values: [[cat]]}]\n", true},
		{"- rule: S\n  override: {condition: replace}\n  condition: proc.name = cat\n", false},
	} {
		set, rep := load(list + tt.change)
		if err := rep.Err(); err != nil {
			t.Errorf("%s: %v", tt.change, err)
		}
		if got := len(matches(set, execEvent())) == 1; got != tt.want {
			t.Errorf("%s: matches %v, want %v", tt.change, got, tt.want)
		}
	}
	if _, rep := load(list + "- rule: S\n  override: {condition: append}\n  condition: and proc.name = cat\n"); rep.Errors() != 1 {
		t.Errorf("a condition is appended to a Sigma rule: %v", rep.Err())
	}
	if _, rep := load("- list: others\n  items: [a]\n"); rep.Errors() != 1 || !strings.Contains(rep.Err().Error(), "%admins% has no values") {
		t.Errorf("a placeholder without values: %v", rep.Err())
	}
}
