package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/spf13/pflag"
)

// groupFlags choose by what processes are in.
type groupFlags struct {
	cgroup, container string
	netns             uint32
}

func (g *groupFlags) flags(fl *pflag.FlagSet) {
	fl.StringVar(&g.cgroup, "cgroup", "", "of the control group at `PATH` and those below it")
	fl.StringVar(&g.container, "container", "", "of the container whose `ID` begins so")
	fl.Uint32Var(&g.netns, "netns", 0, "in the network namespace of a `PROCESS`")
}

// choose finds what the flags name, as it is now.
func (g *groupFlags) choose() (scope kernel.Scope, net uint32, err error) {
	if scope, err = topScope(g.cgroup, g.container); err == nil && g.netns != 0 {
		net, err = kernel.NetOf(g.netns)
	}
	return scope, net, err
}

// choiceFlags choose processes, by themselves and by what they are in.
type choiceFlags struct {
	groupFlags
	pid  uint32
	comm string
}

// flags makes the flags; whose says what of such a process is kept, as "packets".
func (c *choiceFlags) flags(fl *pflag.FlagSet, whose string) {
	fl.Uint32Var(&c.pid, "pid", 0, whose+" one `PROCESS` with all its threads")
	fl.StringVar(&c.comm, "comm", "", whose+" threads or processes with this `NAME`")
	c.groupFlags.flags(fl)
}

// choice finds what the flags name, as it is now.
func (c *choiceFlags) choice() (out kernel.Choice, err error) {
	out.Pid, out.Comm = c.pid, c.comm
	out.Scope, out.Net, err = c.choose()
	return out, err
}

// unknown says that there is no such histogram, graph or view, and which is meant.
func unknown[T any](what, word string, all []T, name func(T) string) error {
	names := make([]string, 0, len(all))
	for _, x := range all {
		names = append(names, name(x))
	}
	if near := event.Nearest(word, names); near != "" {
		return fmt.Errorf("there is no %s %q: did you mean %s?", what, word, near)
	}
	return fmt.Errorf("there is no %s %q: there are %s", what, word, strings.Join(names, ", "))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := file.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
