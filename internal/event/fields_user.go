package event

// userFields are about credentials, names of users, and threads.
func userFields() []Field {
	cred := func(get func(*Cred) int64) source {
		return numAttr(func(p *Process) (int64, bool) { return get(&p.Cred), true }).at(0)
	}
	name := func(get func(*Process) string) source {
		return strAttr(func(p *Process) (string, bool) { return nonEmpty(get(p)) }).at(0)
	}
	caps := func(get func(*Cred) uint64) source {
		return source{flags: capabilities(), bits: func(ev *Event, _ *Ref) (uint64, bool) {
			if ev.Proc == nil {
				return 0, false
			}
			return get(&ev.Proc.Cred), true
		}}
	}
	return []Field{
		{Name: "user.uid", Type: FieldUint, Doc: "real user id", src: cred(func(c *Cred) int64 { return int64(c.UID) })},
		{Name: "user.name", Doc: "name of the user", src: name(func(p *Process) string { return p.User })},
		{Name: "user.loginuid", Type: FieldInt, Doc: "audit login user id, -1 when unset", src: cred(loginUID)},
		{Name: "user.loginname", Doc: "name of the audit login user", src: name(func(p *Process) string { return p.LoginUser })},
		{Name: "group.gid", Type: FieldUint, Doc: "real group id", src: cred(func(c *Cred) int64 { return int64(c.GID) })},
		{Name: "group.name", Doc: "name of the group", src: name(func(p *Process) string { return p.Group })},
		{Name: "thread.cap_permitted", Type: FieldFlags, Doc: "permitted capabilities", src: caps(func(c *Cred) uint64 { return c.Permitted })},
		{Name: "thread.cap_inheritable", Type: FieldFlags, Doc: "inheritable capabilities", src: caps(func(c *Cred) uint64 { return c.Inheritable })},
		{Name: "thread.cap_effective", Type: FieldFlags, Doc: "effective capabilities", src: caps(func(c *Cred) uint64 { return c.Effective })},
		{Name: "bc.cred.bounding", Type: FieldFlags, Doc: "capabilities of the bounding set", src: caps(func(c *Cred) uint64 { return c.Bounding })},
		{Name: "bc.cred.ambient", Type: FieldFlags, Doc: "ambient capabilities", src: caps(func(c *Cred) uint64 { return c.Ambient })},
		{Name: "bc.cred.euid", Type: FieldUint, Doc: "effective user id", src: cred(func(c *Cred) int64 { return int64(c.EUID) })},
		{Name: "bc.cred.suid", Type: FieldUint, Doc: "saved user id", src: cred(func(c *Cred) int64 { return int64(c.SUID) })},
		{Name: "bc.cred.fsuid", Type: FieldUint, Doc: "user id for file access", src: cred(func(c *Cred) int64 { return int64(c.FSUID) })},
		{Name: "bc.cred.egid", Type: FieldUint, Doc: "effective group id", src: cred(func(c *Cred) int64 { return int64(c.EGID) })},
		{Name: "bc.cred.sgid", Type: FieldUint, Doc: "saved group id", src: cred(func(c *Cred) int64 { return int64(c.SGID) })},
		{Name: "bc.cred.session", Type: FieldInt, Doc: "audit session, -1 when unset", src: cred(func(c *Cred) int64 { return unsetID(c.SessionID) })},
		{Name: "bc.cred.no_new_privs", Type: FieldBool, Doc: "no exec of the process can gain rights", src: cred(func(c *Cred) int64 { return boolNum(c.NoNewPrivs) })},
		{Name: "thread.tid", Type: FieldInt, Doc: "id of the thread that caused the event",
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) { return nonZero(ev.Tid) }}},
		{Name: "thread.vtid", Type: FieldInt, Doc: "id of a main thread in its own pid namespace", src: source{num: threadVtid}},
		{Name: "thread.ismain", Type: FieldBool, Doc: "the thread is the main thread of its process",
			src: source{num: func(ev *Event, _ *Ref) (int64, bool) {
				return boolNum(ev.Proc != nil && ev.Tid == ev.Proc.Pid), ev.Proc != nil && ev.Tid != 0
			}}},
	}
}

func unsetID(id uint32) int64 {
	if id == Unset {
		return -1
	}
	return int64(id)
}

func loginUID(c *Cred) int64 { return unsetID(c.LoginUID) }

func threadVtid(ev *Event, _ *Ref) (int64, bool) {
	if ev.Proc == nil || ev.Tid != ev.Proc.Pid {
		return 0, false
	}
	return nonZero(ev.Proc.NSPid)
}

// containerFields are what a control group's path tells about containers.
func containerFields() []Field {
	cg := func(get func(*Cgroup) (string, bool)) source {
		return strAttr(func(p *Process) (string, bool) {
			if p.Cgroup == nil {
				return "", false
			}
			return get(p.Cgroup)
		}).at(0)
	}
	// a process of unknown cgroup counts as one of the host
	orHost := func(get func(*Cgroup) string) source {
		return strAttr(func(p *Process) (string, bool) {
			if p.Cgroup == nil || p.Cgroup.ContainerID == "" {
				return "host", true
			}
			return nonEmpty(get(p.Cgroup))
		}).at(0)
	}
	return []Field{
		{Name: "container.id", Doc: "the first 12 digits of the container's id, or host", src: orHost(func(c *Cgroup) string { return c.ContainerID })},
		{Name: "container.full_id", Doc: "the container's whole id, or host", src: orHost(func(c *Cgroup) string { return c.FullID })},
		{Name: "container.type", Doc: "what runs the container, as far as the control group tells, or host", src: orHost(func(c *Cgroup) string { return c.Runtime })},
		{Name: "k8s.pod.uid", Doc: "uid of the Kubernetes pod, where the control group names it", src: cg(func(c *Cgroup) (string, bool) { return nonEmpty(c.PodUID) })},
		{Name: "bc.cgroup.path", Doc: "path of the control group", src: cg(func(c *Cgroup) (string, bool) { return nonEmpty(c.Path) })},
		{Name: "bc.cgroup.id", Type: FieldUint, Doc: "id of the control group", src: numAttr(func(p *Process) (int64, bool) {
			if p.Cgroup == nil {
				return 0, false
			}
			return nonZero(p.Cgroup.ID)
		}).at(0)},
	}
}
