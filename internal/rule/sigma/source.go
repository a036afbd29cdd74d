package sigma

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// source is a log source: which events it stands for, and which of Bearcat's
// fields its fields are.
type source struct {
	name   string
	fields map[string]field
	// keywords is the field that lists of keywords are looked for in; "" where
	// there is none.
	keywords string
	// output are the fields of the message of an alert.
	output []string
}

// field is a field of a log source.
type field struct {
	// any are the fields of which one has to satisfy a check: the same thing
	// can be known by two names. The first is what outputs and groups show.
	any []string
	// negate says that true there is false here.
	negate bool
	// exact says that the value is a word of Bearcat's own, such as the name of
	// an event, which is compared as it is.
	exact bool
}

func one(names ...string) field { return field{any: names} }

// processFields are about the process of an event, in all log sources.
func processFields() map[string]field {
	return map[string]field{
		"Image": one("proc.exepath", "bc.proc.invoked"), "CommandLine": one("proc.exeline"), "User": one("user.name"),
		"ParentImage": one("proc.pexepath", "bc.proc.pinvoked"), "ParentCommandLine": one("bc.proc.pexeline"),
		"CurrentDirectory": one("proc.cwd", "bc.proc.workdir"), "LogonId": one("user.uid"), "TerminalSessionId": one("bc.cred.session"),
		"ProcessId": one("proc.pid"), "ParentProcessId": one("proc.ppid"), "ComputerName": one("evt.hostname"), "Hostname": one("evt.hostname"),
	}
}

// with adds fields to those of processes.
func with(more map[string]field) map[string]field {
	out := processFields()
	maps.Copy(out, more)
	return out
}

func sources() []*source {
	addresses := map[string]field{
		"DestinationIp": one("fd.sip"), "DestinationPort": one("fd.sport"), "DestinationHostname": one("fd.sip.name"),
		"SourceIp": one("fd.cip"), "SourcePort": one("fd.cport"), "SourceHostname": one("fd.cip.name"),
		"Initiated": {any: []string{"fd.is_server"}, negate: true}, "Protocol": one("fd.l4proto"),
	}
	dns := map[string]field{
		"QueryName": one("bc.dns.name"), "query": one("bc.dns.name"), "QueryResults": one("bc.dns.answers"), "answer": one("bc.dns.answers"),
		"record_type": one("bc.dns.type"),
	}
	return []*source{
		{name: "process_creation", fields: processFields(), keywords: "proc.exeline",
			output: []string{"command=proc.exeline", "image=proc.exepath", "parent=proc.pexepath", "user=user.name"}},
		{name: "file_event", fields: with(map[string]field{"TargetFilename": one("bc.file.target")}),
			output: []string{"file=bc.file.target", "image=proc.exepath", "command=proc.exeline", "user=user.name"}},
		{name: "file_delete", fields: with(map[string]field{"TargetFilename": one("fs.path.name")}),
			output: []string{"file=fs.path.name", "image=proc.exepath", "command=proc.exeline", "user=user.name"}},
		{name: "network_connection", fields: with(addresses),
			output: []string{"connection=fd.name", "name=fd.rip.name", "image=proc.exepath", "command=proc.exeline", "user=user.name"}},
		{name: "dns_query", fields: with(dns), output: []string{"query=bc.dns.name", "type=bc.dns.type", "image=proc.exepath", "command=proc.exeline", "user=user.name"}},
		{name: "auditd", fields: auditFields(), keywords: "proc.exeline",
			output: []string{"event=evt.type", "command=proc.exeline", "file=bc.path.name", "parent=proc.pexepath", "user=user.name"}},
	}
}

// aliases are other names of log sources.
func sourceNamed(name string) *source {
	if name == "dns" {
		name = "dns_query"
	}
	for _, s := range sources() {
		if s.name == name {
			return s
		}
	}
	return nil
}

// refused says why a field that other systems have cannot be had; "" where
// nothing is known of it.
func refused(name string) string {
	switch name {
	case "OriginalFileName", "Company", "Product", "Description", "FileVersion", "Signed", "Signature", "SignatureStatus":
		return "it is in the resources of Windows programs"
	case "Hashes", "md5", "sha1", "sha256", "imphash", "Imphash", "MD5", "SHA1", "SHA256":
		return "Bearcat computes no hashes of files"
	case "IntegrityLevel":
		return "Linux has no integrity levels"
	case "ProcessGuid", "ParentProcessGuid", "LogonGuid", "SourceProcessGuid":
		return "it is an identifier of another agent's"
	case "key":
		return "it names a rule of the host's audit daemon, and these make no events here: leave it out"
	case "saddr":
		return "addresses are not given as audit's bytes: use category network_connection"
	case "QueryStatus":
		return "it is a number of Windows's"
	}
	return ""
}

// field finds a field of a log source. A name that the source does not have can
// be one of Bearcat's own. The error says what is wrong with it.
func (s *source) field(name string) (field, string) {
	if f, ok := s.fields[name]; ok {
		return f, ""
	}
	base, arg := split(name)
	if strings.Contains(name, ".") {
		if ref, err := event.Lookup(base, arg); err == nil && !ref.Field().OutputOnly {
			return one(name), ""
		}
	}
	if why := refused(name); why != "" {
		return field{}, "field " + name + " is not supported: " + why
	}
	names := slices.Sorted(maps.Keys(s.fields))
	if n := event.Nearest(name, names); n != "" {
		return field{}, "unknown field " + name + " of log source " + s.name + ": did you mean " + n + "?"
	}
	return field{}, "unknown field " + name + " of log source " + s.name + ": there are " + strings.Join(names, ", ") + ", and those that bearcat fields lists"
}

// split takes the argument off a field's name.
func split(name string) (base, arg string) {
	if i := strings.IndexByte(name, '['); i > 0 && strings.HasSuffix(name, "]") {
		return name[:i], name[i+1 : len(name)-1]
	}
	return name, ""
}

// logsource finds the log source of a rule; nil after a report.
func (d *doc) logsource() *source {
	n := d.val["logsource"]
	if n.Kind != yaml.MappingNode {
		d.errorf(ast.CodeValue, n, "logsource must be a mapping with category or service, not %s", ruleyaml.KindName(n))
		return nil
	}
	at := map[string]*yaml.Node{}
	for k, v := range pairs(n) {
		switch k.Value {
		case "category", "product", "service", "definition":
			at[k.Value] = v
		default:
			d.errorf(ast.CodeKey, k, "unknown key %q of logsource: there are category, product, service and definition", k.Value)
			return nil
		}
	}
	if p := at["product"]; p != nil && !strings.EqualFold(p.Value, "linux") {
		d.errorf(ast.CodeValue, p, "rules for product %s are not supported: Bearcat watches Linux", p.Value)
		return nil
	}
	cat, svc := at["category"], at["service"]
	switch {
	case cat == nil && svc == nil:
		d.errorf(ast.CodeValue, d.key["logsource"], "a log source without category and service stands for the host's logs, which Bearcat does not read")
		return nil
	case cat == nil && svc.Value == "auditd", cat != nil && svc == nil, cat != nil && svc.Value == "sysmon":
	case cat == nil:
		d.errorf(ast.CodeValue, svc, "log source service %s is not supported: Bearcat does not read logs; of services it knows auditd", svc.Value)
		return nil
	default:
		d.errorf(ast.CodeValue, svc, "service %s beside a category is not supported: leave it out", svc.Value)
		return nil
	}
	n = cat
	if cat == nil {
		n = svc
	}
	s := sourceNamed(n.Value)
	if s == nil || cat != nil && s.name == "auditd" {
		d.errorf(ast.CodeValue, n, "log source category %s is not supported: there are process_creation, file_event, file_delete, network_connection and dns_query", n.Value)
		return nil
	}
	return s
}

// check makes a check of a field.
func check(at ast.Span, name string, op ast.Op, values ...string) *ast.Check {
	c := &ast.Check{Left: operand(at, name), Op: op, At: at, OpAt: at}
	for _, v := range values {
		c.Values = append(c.Values, &ast.Literal{Text: v, At: at})
	}
	return c
}

func operand(at ast.Span, name string) *ast.Operand {
	base, arg := split(name)
	return &ast.Operand{Name: base, Arg: arg, At: at}
}

func and(at ast.Span, list ...ast.Expr) ast.Expr {
	if len(list) == 1 {
		return list[0]
	}
	return &ast.And{List: list, At: at}
}

func or(at ast.Span, list ...ast.Expr) ast.Expr {
	if len(list) == 1 {
		return list[0]
	}
	return &ast.Or{List: list, At: at}
}

// exec is true for events of exec.
func exec(at ast.Span) ast.Expr { return check(at, "evt.type", ast.OpIn, "execve", "execveat") }

// when is true for the events that a log source stands for; nil where the
// detection itself says so. answers says that the rule looks at answers of DNS.
func (s *source) when(at ast.Span, answers bool) ast.Expr {
	switch s.name {
	case "process_creation":
		return exec(at)
	case "file_event":
		return check(at, "bc.file.target", ast.OpExists)
	case "file_delete":
		return check(at, "evt.type", ast.OpIn, "unlink", "unlinkat")
	case "network_connection":
		return and(at, check(at, "fd.sockfamily", ast.OpEq, "ip"), or(at,
			and(at, check(at, "evt.type", ast.OpEq, "connect"), check(at, "fd.connected", ast.OpEq, "true")),
			and(at, check(at, "evt.type", ast.OpIn, "accept", "accept4", "sendto", "sendmsg", "sendmmsg"), check(at, "evt.failed", ast.OpEq, "false"))))
	case "dns_query":
		response := "false"
		if answers {
			response = "true"
		}
		return and(at, check(at, "evt.type", ast.OpEq, "dns"), check(at, "bc.dns.response", ast.OpEq, response))
	}
	return nil
}
