package event

// HostPlace says where a file was named: in a mount namespace, by a thread of a process.
type HostPlace struct {
	NS       uint32
	Tid, Pid uint32
	// Resolved is false where the path may lead through symbolic links.
	Resolved bool
}

// HostPaths finds where the host has files of other mount namespaces.
type HostPaths interface {
	// HostPath returns the path by which the host reaches a file; "" where it has
	// none, and where the namespace is the host's own.
	HostPath(at HostPlace, f *File) string
}

// hostPath asks for a file that the event's process named in a namespace.
func (ev *Event) hostPath(ns uint32, f *File, resolved bool) string {
	if f.HostPath != "" || ev.Hosts == nil {
		return f.HostPath
	}
	at := HostPlace{NS: ns, Tid: ev.Tid, Resolved: resolved}
	if ev.Proc != nil {
		at.Pid = ev.Proc.Pid
		if at.NS == 0 && ev.Proc.NS != nil {
			at.NS = ev.Proc.NS.Mnt
		}
	}
	return ev.Hosts.HostPath(at, f)
}

// PathOnHost returns where the host has a file that the event's call names; "" where it
// has none, and where the call was made in the host's own mount namespace.
func (ev *Event) PathOnHost(f *FileRef) string {
	if f == nil {
		return ""
	}
	return ev.hostPath(ev.MntNS, &f.File, f.Resolved || f.Inode != 0)
}

// FDOnHost does the same for the file behind a descriptor.
func (ev *Event) FDOnHost(f *FD) string {
	if f == nil {
		return ""
	}
	return ev.hostPath(ev.MntNS, &f.File, true)
}

// ExeOnHost does the same for the program of the event's process.
func (ev *Event) ExeOnHost() string {
	if ev.Proc == nil || ev.Proc.Image == nil {
		return ""
	}
	return ev.hostPath(0, &ev.Proc.Image.Exe, true)
}

// hostFields are the paths that the host has.
func hostFields() []Field {
	host := func(get func(*Event) string) source {
		return source{str: func(ev *Event, _ *Ref) (string, bool) { return nonEmpty(get(ev)) }}
	}
	call := func(get func(*Event, *Call) string) source {
		return host(func(ev *Event) string {
			if ev.Call == nil {
				return ""
			}
			return get(ev, ev.Call)
		})
	}
	return []Field{
		{Name: "bc.path.host", Doc: "bc.path.name as the host has it, where the caller is in another mount namespace, as in a container; absent where the host does not see the file",
			Events: pathTypes.Or(pairTypes), src: call(func(ev *Event, c *Call) string { return ev.PathOnHost(c.Path) })},
		{Name: "bc.path.host2", Doc: "the same of bc.path.name2", Events: pairTypes, src: call(func(ev *Event, c *Call) string { return ev.PathOnHost(c.Path2) })},
		{Name: "bc.fd.host", Doc: "path of the file behind the descriptor as the host has it, where the caller is in another mount namespace; absent where the host does not see the file", Events: fdTypes, src: call(func(ev *Event, c *Call) string { return ev.FDOnHost(c.FD) })},
		{Name: "bc.proc.hostpath", Doc: "path of the program as the host has it, where the process is in another mount namespace; absent where the host does not see it",
			src: host((*Event).ExeOnHost)},
	}
}
