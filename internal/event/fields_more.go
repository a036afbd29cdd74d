package event

import "strconv"

// ioFields are about the data that a call moves. Of reads and writes only the
// datagrams that begin a conversation make events.
func ioFields() []Field {
	send := TypesOf(Send)
	constant := func(n int64) source {
		return source{num: func(*Event, *Ref) (int64, bool) { return n, true }}
	}
	isSend := source{num: func(ev *Event, _ *Ref) (int64, bool) { return boolNum(ev.Type == Send), true }}
	sent := source{num: func(ev *Event, _ *Ref) (int64, bool) {
		if ev.Type != Send || ev.Call == nil || ev.Call.Ret < 0 || ev.Call.Spec == nil || ev.Call.Spec.Name == "sendmmsg" {
			return 0, false
		}
		return ev.Call.Ret, true
	}}
	count := func(categories ...string) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Call == nil || !ev.Call.Failed() {
				return 0, true
			}
			is := ev.Type.Category()
			for _, c := range categories {
				if c == is {
					return 1, true
				}
			}
			return 0, true
		}}
	}
	return []Field{
		{Name: "evt.is_io", Type: FieldBool, Doc: "the call moves data: true for sends, since other reads and writes make no events", src: isSend},
		{Name: "evt.is_io_read", Type: FieldBool, Doc: "always false: reads make no events", src: constant(0)},
		{Name: "evt.is_io_write", Type: FieldBool, Doc: "the call sends data", src: isSend},
		{Name: "evt.io_dir", Doc: "write for sends; absent for other events", Events: send, src: source{str: func(ev *Event, _ *Ref) (string, bool) { return "write", ev.Type == Send }}},
		{Name: "evt.is_wait", Type: FieldBool, Doc: "always false: calls that wait make no events", src: constant(0)},
		{Name: "evt.is_syslog", Type: FieldBool, Doc: "always false: logs are not read", src: constant(0)},
		{Name: "evt.buflen", Type: FieldUint, Doc: "bytes that were sent", Events: send, src: sent},
		{Name: "evt.buflen.out", Type: FieldUint, Doc: "bytes that were sent", Events: send, src: sent},
		{Name: "evt.buflen.net", Type: FieldUint, Doc: "bytes that were sent", Events: send, src: sent},
		{Name: "evt.buflen.net.out", Type: FieldUint, Doc: "bytes that were sent", Events: send, src: sent},
		{Name: "evt.count.error.file", Type: FieldUint, Doc: "1 for calls about files that returned an error", src: count("file")},
		{Name: "evt.count.error.net", Type: FieldUint, Doc: "1 for calls about networks that returned an error", src: count("net")},
		{Name: "evt.count.error.memory", Type: FieldUint, Doc: "1 for calls about memory that returned an error", src: count("memory")},
		{Name: "evt.count.error.other", Type: FieldUint, Doc: "1 for other calls that returned an error", src: count("process", "ipc", "user", "system")},
	}
}

// namespaceFields are about the pid namespace and the thread.
func namespaceFields() []Field {
	return []Field{
		{Name: "thread.nametid", Doc: "name and thread id, joined by a colon", src: source{text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
			if ev.Proc == nil || ev.Proc.Comm == "" || ev.Tid == 0 {
				return dst, false
			}
			return strconv.AppendUint(append(append(dst, ev.Proc.Comm...), ':'), uint64(ev.Tid), 10), true
		}}},
		{Name: "proc.pidns_init_start_ts", Type: FieldAbsTime, Doc: "start of the first process of the pid namespace, where it is an ancestor", src: source{num: pidnsStart}},
		{Name: "proc.exe_ino.ctime_duration_pidns_start", Type: FieldDuration, Doc: "how long before the start of the pid namespace the program's file changed its status; absent where that was later",
			src: source{num: func(ev *Event, r *Ref) (int64, bool) {
				start, ok := pidnsStart(ev, r)
				if !ok || ev.Proc.Image == nil || ev.Proc.Image.Exe.Ctime == 0 || ev.Proc.Image.Exe.Ctime >= start {
					return 0, false
				}
				return start - ev.Proc.Image.Exe.Ctime, true
			}}},
	}
}

// pidnsStart finds when the first process of the pid namespace was started.
func pidnsStart(ev *Event, _ *Ref) (int64, bool) {
	p := ev.Proc
	if p == nil || p.NS == nil || p.NS.Pid == 0 {
		return 0, false
	}
	own := p.NS.Pid
	for n := 0; p != nil && n < maxAncestors; n++ {
		if p.NS != nil && p.NS.Pid != own {
			return 0, false
		}
		if p.NSPid == 1 {
			return p.Time.UnixNano(), !p.Time.IsZero()
		}
		p = p.Parent
	}
	return 0, false
}

// credFields are about the change that setuid, capset and their like make.
func credFields() []Field {
	types := TypesOf(Setuid, Capset, Setns, Unshare)
	id := func(old bool, get func(*Cred) uint32) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if c := ev.cred(old); c != nil && types.Has(ev.Type) {
				return int64(get(c)), true
			}
			return 0, false
		}}
	}
	caps := func(get func(before, after *Cred) uint64, needOld bool) source {
		return source{flags: capabilities(), bits: func(ev *Event, _ *Ref) (uint64, bool) {
			before, after := ev.cred(true), ev.cred(false)
			if after == nil || needOld && before == nil || !types.Has(ev.Type) {
				return 0, false
			}
			return get(before, after), true
		}}
	}
	return []Field{
		{Name: "bc.cred.old_uid", Type: FieldUint, Doc: "real user id before the call", Events: types, src: id(true, func(c *Cred) uint32 { return c.UID })},
		{Name: "bc.cred.old_euid", Type: FieldUint, Doc: "effective user id before the call", Events: types, src: id(true, func(c *Cred) uint32 { return c.EUID })},
		{Name: "bc.cred.new_uid", Type: FieldUint, Doc: "real user id after the call", Events: types, src: id(false, func(c *Cred) uint32 { return c.UID })},
		{Name: "bc.cred.new_euid", Type: FieldUint, Doc: "effective user id after the call", Events: types, src: id(false, func(c *Cred) uint32 { return c.EUID })},
		{Name: "bc.cred.new_effective", Type: FieldFlags, Doc: "effective capabilities after the call", Events: types,
			src: caps(func(_, after *Cred) uint64 { return after.Effective }, false)},
		{Name: "bc.cred.gained", Type: FieldFlags, Doc: "effective capabilities that the call added", Events: types,
			src: caps(func(before, after *Cred) uint64 { return after.Effective &^ before.Effective }, true)},
	}
}

// cred returns the credentials before or after the call.
func (ev *Event) cred(old bool) *Cred {
	switch {
	case ev.Call == nil:
		return nil
	case old:
		return ev.Call.OldCred
	}
	return ev.Call.NewCred
}
