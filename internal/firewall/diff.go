package firewall

import (
	"fmt"
	"reflect"
)

// Diff says in lines what changes from one policy to the next: "-" for what goes, "+"
// for what comes, "~" for what stays and is not the same.
func Diff(old, next *Policy) []string {
	out := []string{}
	for _, x := range []struct {
		key  string
		a, b any
	}{
		{"default", old.Default, next.Default}, {"default_out", old.DefaultOut, next.DefaultOut}, {"malformed", old.Malformed, next.Malformed},
		{"unparsed", old.Unparsed, next.Unparsed}, {"monitor", old.Monitor, next.Monitor},
	} {
		if x.a != x.b {
			out = append(out, fmt.Sprintf("~ %s: %v, was %v", x.key, x.b, x.a))
		}
	}
	guards := map[string]Guard{}
	for _, g := range old.Guards {
		guards[g.Name] = g
	}
	for _, g := range next.Guards {
		was, ok := guards[g.Name]
		delete(guards, g.Name)
		switch {
		case !ok:
			out = append(out, "+ guard "+g.Name)
		case !reflect.DeepEqual(was, g):
			out = append(out, "~ guard "+g.Name)
		}
	}
	for _, g := range old.Guards { // in the order of the file
		if _, ok := guards[g.Name]; ok {
			out = append(out, "- guard "+g.Name)
		}
	}
	before, after := map[string]int{}, map[string]int{}
	for i, r := range old.Rules {
		before[r.Name] = i
	}
	for i, r := range next.Rules {
		after[r.Name] = i
	}
	var a, b []string // what stays, in both orders
	for _, r := range old.Rules {
		if _, ok := after[r.Name]; !ok {
			out = append(out, "- rule "+r.Name)
		} else {
			a = append(a, r.Name)
		}
	}
	for _, r := range next.Rules {
		i, ok := before[r.Name]
		switch {
		case !ok:
			out = append(out, "+ rule "+r.Name)
			continue
		case !reflect.DeepEqual(old.Rules[i], r):
			out = append(out, "~ rule "+r.Name)
		}
		b = append(b, r.Name)
	}
	if !reflect.DeepEqual(a, b) {
		out = append(out, "~ the order of rules")
	}
	return out
}
