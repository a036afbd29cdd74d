package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/eventjson"
)

// callHeads reads the heads of the pages about calls: paragraphs that begin
// with a line that names the type.
func callHeads() (map[string]string, error) {
	text, err := heads.ReadFile("heads/calls.txt")
	if err != nil {
		return nil, fmt.Errorf("reading the heads of the calls: %w", err)
	}
	out := map[string]string{}
	for part := range strings.SplitSeq(string(text), "\n\n") {
		name, doc, ok := strings.Cut(strings.TrimSpace(part), "\n")
		if !ok {
			return nil, fmt.Errorf("the head of %q says nothing", name)
		}
		out[name+".md"] = "# " + name + "\n\n" + wrap(doc) + "\n"
	}
	return out, nil
}

// wrap breaks text into lines of 80 characters.
func wrap(text string) string {
	var b strings.Builder
	width := 0
	for w := range strings.FieldsSeq(text) {
		if width > 0 && width+1+len(w) > 80 {
			b.WriteByte('\n')
			width = 0
		} else if width > 0 {
			b.WriteByte(' ')
			width++
		}
		b.WriteString(w)
		width += len(w)
	}
	return b.String()
}

// callIndex writes the table of the types of calls, and what the kinds of
// arguments are.
func callIndex(b *bytes.Buffer) {
	b.WriteString("\n## Events of calls\n\nSent when the call returns, also where it failed, unless the page says otherwise.\n\n| event | category | calls |\n|---|---|---|\n")
	for t := event.TypeNone + 1; t < event.NumTypes; t++ {
		if !t.IsCall() {
			continue
		}
		var names []string
		for _, s := range event.CallsOf(t) {
			names = append(names, s.Name)
		}
		fmt.Fprintf(b, "| [%s](%s.md) | %s | %s |\n", t, t, t.Category(), strings.Join(names, ", "))
	}
	b.WriteString("\n## Kinds of arguments\n\nThe pages of the calls name their arguments with these. What is a number, flags or a\nmode stands in `call.args` by name, and the registers in `call.raw`.\n\n| kind | what it is, and where it stands |\n|---|---|\n")
	docs := kindDocs()
	for k := event.CallArgKind(0); k.String() != "unknown"; k++ {
		fmt.Fprintf(b, "| %s | %s |\n", k, cell(docs[k]))
	}
}

// kindDocs says of each kind of argument where to find it.
func kindDocs() map[event.CallArgKind]string {
	return map[event.CallArgKind]string{
		event.ArgInt:    "a number with a sign",
		event.ArgUint:   "a number without one",
		event.ArgHex:    "a number that people read in hexadecimal: text such as 0x1f",
		event.ArgMode:   "permission bits: text such as 0644",
		event.ArgFlags:  "a set of bits: their names joined by `|`, and in hexadecimal what has none",
		event.ArgEnum:   "one of some values: its name, or the number where it has none",
		event.ArgFD:     "a descriptor; `call.fd` has what stands behind it",
		event.ArgFD2:    "another; `call.fd2` has what stands behind it",
		event.ArgDirFD:  "the directory that a relative path starts from: a descriptor as text, or AT_FDCWD",
		event.ArgDirFD2: "the same for the second path",
		event.ArgPath:   "a path; in `call.path`",
		event.ArgPath2:  "the second path; in `call.path2`",
		event.ArgText:   "a text that is no path; the first of a call is in `call.text`, the second in `call.text2`",
		event.ArgAddr:   "the address of a socket; in `call.addr`",
		event.ArgLen:    "the size of what stands before it; in `call.raw` only",
		event.ArgFDs:    "where the call puts two descriptors; in `call.fd` and `call.fd2`",
		event.ArgPid:    "a process, or a group of them where it is not above 0; `call.target` is the process, where it is known",
		event.ArgPidFD:  "a descriptor of a process",
		event.ArgUID:    "a user id; 4294967295 for none",
		event.ArgGID:    "a group id; 4294967295 for none",
		event.ArgData:   "a block of memory that is read where the page says so",
		event.ArgPtr:    "an address that nothing follows; in `call.raw` only",
	}
}

// callTable writes the calls of a type with their arguments, then the names of
// the arguments' values.
func callTable(b *bytes.Buffer, t event.Type) {
	b.WriteString("\n## Calls\n\nArguments are `evt.arg.NAME` in rules; [their kinds](README.md#kinds-of-arguments).\n\n| `evt.type` | arguments and their kinds | result |\n|---|---|---|\n")
	for _, s := range event.CallsOf(t) {
		var args []string
		for _, a := range eventjson.CallArgs(s) {
			args = append(args, "`"+a.Name+"` "+a.Kind.String())
		}
		result := ""
		if s.RetFD {
			result = "a descriptor"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", s.Name, strings.Join(args, ", "), result)
	}
	valueTable(b, t)
}

// valueTable writes the values of the arguments that have names for them, each
// set of names once.
func valueTable(b *bytes.Buffer, t event.Type) {
	var sets []*event.CallNames
	users := map[*event.CallNames][]string{}
	for _, s := range event.CallsOf(t) {
		for _, a := range eventjson.CallArgs(s) {
			if a.Names == nil {
				continue
			}
			if users[a.Names] == nil {
				sets = append(sets, a.Names)
			}
			if name := "`" + a.Name + "`"; !slices.Contains(users[a.Names], name) {
				users[a.Names] = append(users[a.Names], name)
			}
		}
	}
	if len(sets) == 0 {
		return
	}
	b.WriteString("\n## Values\n\n| argument | values |\n|---|---|\n")
	for _, n := range sets {
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(users[n], ", "), strings.Join(valueNames(n), " "))
	}
}

// valueNames lists the names in the order of what they stand for, each once.
func valueNames(n *event.CallNames) []string {
	var out []string
	add := func(name string) {
		if name = "`" + name + "`"; !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, v := range slices.Sorted(maps.Keys(n.Values)) {
		add(n.Values[v])
	}
	for _, bit := range n.Bits {
		add(bit.Name)
	}
	return out
}

// availabilityTable says of each type of event where it can be had.
func availabilityTable(b *bytes.Buffer) {
	b.WriteString("\n## Which kernel has what\n\n| event | evt.type | from kernel | through io_uring | remarks |\n|---|---|---|---|---|\n")
	for t := event.TypeNone + 1; t < event.NumTypes; t++ {
		if !t.IsCall() {
			fmt.Fprintf(b, "| [%s](%s.md) | `%s` | 5.10 | | |\n", t, t, strings.Join(event.NamesOf(t), "`, `"))
			continue
		}
		for _, s := range event.CallsOf(t) {
			a := event.Available(s)
			since, ring := "5.10", ""
			if a.Since != "" {
				since = a.Since
			}
			if a.Ring {
				ring = event.RingSince + ", with fentry"
			}
			fmt.Fprintf(b, "| [%s](%s.md) | `%s` | %s | %s | %s |\n", t, t, s.Name, since, ring, a.Note)
		}
	}
}
