package event

import "strings"

// waitingFields are the fields of Falco's set that no sensor fills yet. Rules
// that use them load, are checked, and wait.
func waitingFields() []Field { return emptyFields(waitingGroups(), "") }

// neverFields are those that have no value here by design: they are about
// reads and writes, which make no events, or come from a Falco plugin. Checks of
// them are false, as Falco's are where it has no value.
func neverFields() []Field { return emptyFields(neverGroups(), "never present: ") }

// emptyFields makes fields without values; with a prefix for their
// documentation they do not wait.
func emptyFields(groups []waitingGroup, never string) []Field {
	var out []Field
	for _, g := range groups {
		for _, line := range strings.Split(strings.TrimSpace(g.fields), "\n") {
			typ, names, _ := strings.Cut(strings.TrimSpace(line), ":")
			proto := Field{Waiting: g.waiting, Doc: "waiting for " + g.waiting, src: source{text: noText}}
			if never != "" {
				proto.Waiting, proto.Doc, proto.Events = "", never+g.waiting, TypesOf(TypeNone)
			}
			if t, ok := strings.CutSuffix(typ, " list"); ok {
				typ, proto.List = t, true
			}
			proto.Type = fieldTypeByName(typ)
			if proto.Type.Numeric() || proto.Type == FieldBool {
				proto.src = source{num: func(*Event, *Ref) (int64, bool) { return 0, false }}
			}
			for _, name := range strings.Fields(names) {
				f := proto
				switch {
				case strings.HasSuffix(name, "[]?"):
					f.Arg, name = ArgOptionalKey, strings.TrimSuffix(name, "[]?")
				case strings.HasSuffix(name, "[]"):
					f.Arg, name = ArgRequiredKey, strings.TrimSuffix(name, "[]")
				}
				f.Name = name
				out = append(out, f)
			}
		}
	}
	return out
}

func fieldTypeByName(name string) FieldType {
	for i, n := range fieldTypeNames {
		if n == name {
			return FieldType(i)
		}
	}
	return FieldString
}

type waitingGroup struct{ waiting, fields string }

// waitingGroups lists the names by what brings them; [] marks a required
// argument, []? an optional one.
func waitingGroups() []waitingGroup {
	return []waitingGroup{
		{"user database details", `
			string: user.homedir user.shell`},
	}
}

// neverGroups lists the fields that never have a value, by the reason.
func neverGroups() []waitingGroup {
	return []waitingGroup{
		{"reads and writes make no events", `
			uint: evt.buflen.in evt.buflen.file evt.buflen.file.in evt.buflen.file.out evt.buflen.net.in
			string: evt.buffer
			duration: evt.wait_latency`},
		{"processes are not polled for what changes all the time", `
			uint: proc.nthreads proc.nchilds proc.vmsize proc.vmrss proc.vmswap proc.fdopencount
			int: proc.fdlimit
			float: proc.fdusage thread.cpu thread.cpu.user thread.cpu.system
			uint: thread.vmsize thread.vmrss thread.vmsize.b thread.vmrss.b thread.pfmajor thread.pfminor
			uint: evt.count.procinfo evt.count.threadinfo
			duration: thread.exectime thread.totexectime
			string: thread.cgroups thread.cgroup[]`},
		{"events are complete when they are reported, and are not compared with others", `
			duration: evt.latency evt.latency.s evt.latency.ns evt.deltatime evt.deltatime.s evt.deltatime.ns
			duration: evt.reltime evt.reltime.s evt.reltime.ns
			string: evt.latency.human
			uint: evt.latency.quantized evt.around[]`},
		{"logs are not read", `
			string: syslog.facility.str syslog.severity.str syslog.message
			uint: syslog.facility syslog.severity`},
		{"health checks are not told from other programs", `
			string: container.healthcheck container.liveness_probe container.readiness_probe container.cni.json
			bool: proc.is_container_healthcheck proc.is_container_liveness_probe proc.is_container_readiness_probe`},
		{"the Kubernetes API is not asked", `
			string: k8s.ns.id k8s.ns.label[] k8s.ns.labels k8s.pod.cni.json
			string: k8s.rc.name k8s.rc.id k8s.rc.label[] k8s.rc.labels k8s.rs.name k8s.rs.id k8s.rs.label[] k8s.rs.labels
			string: k8s.svc.name k8s.svc.id k8s.svc.label[] k8s.svc.labels k8s.deployment.name k8s.deployment.id k8s.deployment.label[] k8s.deployment.labels
			string: k8smeta.pod.name k8smeta.pod.uid k8smeta.pod.label[] k8smeta.pod.labels k8smeta.pod.ip
			string: k8smeta.ns.name k8smeta.ns.uid k8smeta.ns.label[] k8smeta.ns.labels
			string: k8smeta.deployment.name k8smeta.deployment.uid k8smeta.deployment.label[] k8smeta.deployment.labels
			string list: k8smeta.svc.name k8smeta.svc.uid k8smeta.svc.label[] k8smeta.svc.labels
			string: k8smeta.rs.name k8smeta.rs.uid k8smeta.rs.label[] k8smeta.rs.labels k8smeta.rc.name k8smeta.rc.uid k8smeta.rc.label[] k8smeta.rc.labels`},
	}
}
