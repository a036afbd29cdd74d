package sigma

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// Audit writes several records for one call: SYSCALL, EXECVE, PATH. A selection
// names the type of record that it is about, and what a0 means depends on it: an
// argument of the program, or of the system call.

// auditFields are the fields that mean the same in all records.
func auditFields() map[string]field {
	success := field{any: []string{"evt.failed"}, negate: true}
	return map[string]field{
		"type": {}, "SYSCALL": {any: []string{"evt.type"}, exact: true}, "syscall": {any: []string{"evt.type"}, exact: true},
		"success": success, "exit": one("evt.rawres"), "exe": one("proc.exepath"), "comm": one("proc.name"), "argc": one("bc.proc.argc"),
		"pid": one("proc.pid"), "ppid": one("proc.ppid"), "uid": one("user.uid"), "gid": one("group.gid"), "auid": one("user.loginuid"), "ses": one("bc.cred.session"),
		"euid": one("bc.cred.euid"), "suid": one("bc.cred.suid"), "fsuid": one("bc.cred.fsuid"), "egid": one("bc.cred.egid"), "sgid": one("bc.cred.sgid"),
		"tty": one("bc.proc.tty_name"), "cwd": one("bc.proc.workdir", "proc.cwd"), "proctitle": one("proc.exeline"),
		"name": one("bc.path.name", "bc.path.name2", "bc.exec.invoked", "bc.exec.exepath"), "nametype": one("bc.path.nametype"), "ouid": one("bc.path.owner"),
		"ComputerName": one("evt.hostname"), "Hostname": one("evt.hostname"),
	}
}

// recordTypes are the types of records that there are events for.
func recordTypes() []string { return []string{"EXECVE", "SYSCALL", "PATH", "CWD", "PROCTITLE"} }

// record is true for the events that audit would write a record of a type for;
// nil where there are none.
func record(at ast.Span, typ string) ast.Expr {
	switch typ {
	case "EXECVE", "PROCTITLE":
		return exec(at)
	case "SYSCALL", "CWD":
		return check(at, "syscall.type", ast.OpExists)
	case "PATH":
		return or(at, check(at, "bc.path.name", ast.OpExists), check(at, "bc.path.name2", ast.OpExists), exec(at))
	}
	return nil
}

// argument returns the field of a0, a1 and so on; false for other names. typ is
// the type of record, "" where nothing tells it.
func argument(name, typ string) (f field, problem string, ok bool) {
	if len(name) < 2 || name[0] != 'a' {
		return f, "", false
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil || n < 0 || n > 4096 || strconv.Itoa(n) != name[1:] {
		return f, "", false
	}
	switch typ {
	case "EXECVE":
		return one("bc.proc.argv[" + name[1:] + "]"), "", true
	case "SYSCALL":
		if n > 3 {
			return f, "records of type SYSCALL have a0 to a3", true
		}
		return one("bc.call.arg[" + name[1:] + "]"), "", true
	}
	return f, "what " + name + " is depends on the type of record: write type: EXECVE or type: SYSCALL beside it", true
}

// typesOf adds the types of records that a selection names.
func typesOf(n *yaml.Node, found map[string]bool) {
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			if c = ruleyaml.Resolve(c); c.Kind == yaml.MappingNode {
				typesOf(c, found)
			}
		}
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for k, v := range pairs(n) {
		switch {
		case k.Value == "type" && v.Kind == yaml.ScalarNode:
			found[strings.ToUpper(v.Value)] = true
		case k.Value == "type":
			found["several"] = true
		case k.Value == "SYSCALL" || k.Value == "syscall":
			found["SYSCALL"] = true
		}
	}
}

// only is the type of record that a set of them leaves, "" where it is not one.
func only(found map[string]bool) string {
	if found["several"] {
		return ""
	}
	execve, syscall := found["EXECVE"], found["SYSCALL"]
	switch {
	case execve && !syscall:
		return "EXECVE"
	case syscall && !execve:
		return "SYSCALL"
	}
	return ""
}

// recordType compiles a check of type.
func (c *compiler) recordType(k *yaml.Node, mods *modifiers, values []*yaml.Node) ast.Expr {
	at := ruleyaml.At(c.d.src, k)
	if mods.text != "" {
		c.d.errorf(ast.CodeValue, k, "type takes no modifiers here: write type: EXECVE")
		return nil
	}
	var list []ast.Expr
	for _, v := range values {
		at := ruleyaml.At(c.d.src, v)
		e := record(at, strings.ToUpper(v.Value))
		if e == nil {
			c.d.errorf(ast.CodeValue, v, "audit records of type %s are not supported: those of the system's own events are, %s", v.Value, strings.Join(recordTypes(), ", "))
			return nil
		}
		list = append(list, e)
	}
	return or(at, list...)
}
