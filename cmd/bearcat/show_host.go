package main

import (
	"fmt"
	"strconv"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/spf13/cobra"
)

// hostNouns are the nouns of bearcat show that are about the host as a whole.
func hostNouns() []*cobra.Command {
	var ns string
	mount := hostNoun("mount", "mounts, in this or in other mount namespaces",
		`Lists mounts in the kernel's order: which file system, which folder of it,
where, and whether a later mount covers it.`,
		"  bearcat show mount\n  bearcat show mount --ns 4242\n  bearcat show mount --ns all --json | jq '.mounts[] | select(.hidden)'",
		0, func([]string) (answer, error) { return host.ReadMounts(ns) })
	mount.Flags().StringVar(&ns, "ns", "", "of a mount `NAMESPACE`: its number, a pid in it, or all")
	return []*cobra.Command{
		mount,
		hostNoun("overlay [CONTAINER|MOUNTPOINT]", "overlays, and what one of them changed",
			`Lists overlay file systems of all mount namespaces; of one, the layers, and what
its upper layer holds: removed and replaced paths, files copied up, new files.`,
			"  bearcat show overlay\n  bearcat show overlay 3f9a1c\n  bearcat show overlay /mnt/merged --json",
			1, func(args []string) (answer, error) { return host.ReadOverlays(first(args)) }),
		hostNoun("ns", "namespaces: who is in them, who owns them, what keeps them",
			`Lists namespaces of all types that a process, a bind mount or a descriptor
keeps.`,
			"  bearcat show ns\n  bearcat show ns --json | jq '.namespaces[] | select(.processes == [])'",
			0, func([]string) (answer, error) { return host.ReadNamespaces() }),
		hostNoun("cgroup [PATH]", "control groups with their use and limits",
			`Lists control groups of all mounted hierarchies, or those whose path begins so.`,
			"  bearcat show cgroup\n  bearcat show cgroup /system.slice",
			1, func(args []string) (answer, error) { return host.ReadCgroups(first(args)) }),
		hostNoun("bpf", "BPF programs and maps: what they call, where they hang, who holds them",
			`Lists BPF programs with the kernel functions that they call (from a scan of
their instructions), where they are attached, which processes hold them and
where they are pinned; and maps. Runs are counted while sysctl
kernel.bpf_stats_enabled is 1.`,
			"  bearcat show bpf\n  bearcat show bpf --json | jq '.programs[] | select(.held_by == [])'",
			0, func([]string) (answer, error) { return host.ReadBPF() }),
		hostNoun("queue", "where packets wait: rings, softnet, queueing disciplines, sockets",
			`Lists the queues of this network namespace, from the network card to the
socket, with what they dropped. Of sockets it shows those with something
queued or dropped.`,
			"  bearcat show queue\n  ip netns exec web bearcat show queue --json | jq .qdiscs",
			0, func([]string) (answer, error) { return host.ReadQueues() }),
		hostNoun("port", "local ports that are in use, for each destination",
			`Counts, for each destination of TCP connections, the local ports in use, also
those of connections that have ended within the last minute, of how many the
kernel gives to connections. Where none is left, connecting there fails.`,
			"  bearcat show port\n  bearcat show port --where 'percent > 50' --watch 2s",
			0, func([]string) (answer, error) { return host.ReadPorts() }),
		schedNoun(),
		vmaNoun(),
		hostNoun("hook", "what is hooked into the kernel",
			`Lists functions that ftrace hooks, kprobes, uprobe events, enabled events and
the places where BPF programs hang.`,
			"  bearcat show hook\n  bearcat show hook --json | jq '.hooks[] | select(.kind == \"kprobe\")'",
			0, func([]string) (answer, error) { return host.ReadHooks() }),
		hostNoun("timer", "timers of processes",
			`Lists timer descriptors and POSIX timers of all processes.`,
			"  bearcat show timer\n  bearcat show timer --json | jq '.timers[] | select(.pid == 4242)'",
			0, func([]string) (answer, error) { return host.ReadTimers() }),
		hostNoun("module", "kernel modules, as procfs and as sysfs have them",
			`Lists modules with their size, users, state, taint and file. A module that only
one of /proc/modules and /sys/module has is marked.`,
			"  bearcat show module\n  bearcat show module --json | jq '.modules[] | select(.in_proc_modules | not)'",
			0, func([]string) (answer, error) { return host.ReadModules() }),
	}
}

func schedNoun() *cobra.Command {
	cmd := hostNoun("sched PID", "how the threads of a process are scheduled",
		`Lists the threads of a process with policy, time on and waiting for a CPU,
switches, and virtual run time and slice where the kernel tells them.`,
		"  bearcat show sched 4242\n  bearcat show sched 4242 --json | jq '.tasks[].waited_ns'",
		1, func(args []string) (answer, error) {
			pid, err := strconv.Atoi(first(args))
			if err != nil || pid <= 0 {
				return nil, usageError{fmt.Errorf("%q is no pid", first(args))}
			}
			return host.ReadSched(pid)
		})
	cmd.Args = usageArgs(cobra.ExactArgs(1))
	return cmd
}

func vmaNoun() *cobra.Command {
	cmd := hostNoun("vma PID", "the memory of a process: segments, rights, files, what is in memory",
		`Lists the areas of a process's memory and their sums. Marked are areas that can
be written and run, code from no file, and files that were deleted or replaced.`,
		"  bearcat show vma 4242\n  bearcat show vma 4242 --json | jq '.vmas[] | select(.anonymous_executable)'",
		1, func(args []string) (answer, error) {
			pid, err := strconv.Atoi(first(args))
			if err != nil || pid <= 0 {
				return nil, usageError{fmt.Errorf("%q is no pid", first(args))}
			}
			return host.ReadMemory(pid)
		})
	cmd.Args = usageArgs(cobra.ExactArgs(1))
	return cmd
}

// hostNoun builds a noun that takes up to most arguments.
func hostNoun(use, short, long, example string, most int, read func(args []string) (answer, error)) *cobra.Command {
	return noun(&showFlags{}, use, short, long, example, most, read)
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
