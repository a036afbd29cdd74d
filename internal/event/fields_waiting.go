package event

import "strings"

// waitingFields are the fields of Falco's set that no sensor fills yet. Rules
// that use them load, are checked, and wait.
func waitingFields() []Field {
	var out []Field
	for _, g := range waitingGroups() {
		for _, line := range strings.Split(strings.TrimSpace(g.fields), "\n") {
			typ, names, _ := strings.Cut(strings.TrimSpace(line), ":")
			proto := Field{Waiting: g.waiting, Doc: "waiting for " + g.waiting, src: source{text: noText}}
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
		{"file and socket events", `
			int: fd.num fd.ino
			uint: fd.uid fd.dev fd.dev.major fd.dev.minor
			string: fd.type fd.typechar fd.name fd.nameraw
			string list: fd.types[]? fdlist.names
			int list: fdlist.nums
			uint: evt.buflen evt.buflen.in evt.buflen.out
			string: evt.buffer evt.io_dir evt.abspath[]
			bool: evt.is_io evt.is_io_read evt.is_io_write evt.is_wait evt.is_syslog
			duration: evt.wait_latency`},
		{"file events", `
			string: fd.directory fd.filename fd.containername fd.containerdirectory
			string: fs.path.name fs.path.nameraw fs.path.source fs.path.sourceraw fs.path.target fs.path.targetraw
			bool: fd.is_upper_layer fd.is_lower_layer evt.is_open_read evt.is_open_write evt.is_open_exec evt.is_open_create
			uint: evt.buflen.file evt.buflen.file.in evt.buflen.file.out evt.count.error.file evt.count.error.memory evt.count.error.other`},
		{"socket events", `
			ip: fd.ip fd.cip fd.sip fd.lip fd.rip
			net: fd.net fd.cnet fd.snet fd.lnet fd.rnet
			port: fd.port fd.cport fd.sport fd.lport fd.rport
			string: fd.l4proto fd.sockfamily fd.proto fd.cproto fd.sproto fd.lproto fd.rproto
			string: fd.cip.name fd.sip.name fd.lip.name fd.rip.name
			ip list: fdlist.cips fdlist.sips
			port list: fdlist.cports fdlist.sports
			bool: fd.is_server fd.connected fd.name_changed
			uint: evt.buflen.net evt.buflen.net.in evt.buflen.net.out evt.count.error.net`},
		{"container metadata", `
			string: container.name container.image container.image.id container.image.repository container.image.tag container.image.digest
			string: container.mounts container.mount[] container.mount.source[] container.mount.dest[] container.mount.mode[] container.mount.rdwr[] container.mount.propagation[]
			string: container.healthcheck container.liveness_probe container.readiness_probe container.ip container.cni.json container.labels container.label[]
			bool: container.privileged container.host_pid container.host_network container.host_ipc
			bool: proc.is_container_healthcheck proc.is_container_liveness_probe proc.is_container_readiness_probe
			abstime: container.start_ts
			duration: container.duration`},
		{"Kubernetes metadata", `
			string: k8s.ns.name k8s.ns.id k8s.ns.label[] k8s.ns.labels k8s.pod.name k8s.pod.id k8s.pod.ip k8s.pod.cni.json
			string: k8s.pod.sandbox_id k8s.pod.full_sandbox_id k8s.pod.label[] k8s.pod.labels
			string: k8s.rc.name k8s.rc.id k8s.rc.label[] k8s.rc.labels k8s.rs.name k8s.rs.id k8s.rs.label[] k8s.rs.labels
			string: k8s.svc.name k8s.svc.id k8s.svc.label[] k8s.svc.labels k8s.deployment.name k8s.deployment.id k8s.deployment.label[] k8s.deployment.labels
			string: k8smeta.pod.name k8smeta.pod.uid k8smeta.pod.label[] k8smeta.pod.labels k8smeta.pod.ip
			string: k8smeta.ns.name k8smeta.ns.uid k8smeta.ns.label[] k8smeta.ns.labels
			string: k8smeta.deployment.name k8smeta.deployment.uid k8smeta.deployment.label[] k8smeta.deployment.labels
			string list: k8smeta.svc.name k8smeta.svc.uid k8smeta.svc.label[] k8smeta.svc.labels
			string: k8smeta.rs.name k8smeta.rs.uid k8smeta.rs.label[] k8smeta.rs.labels k8smeta.rc.name k8smeta.rc.uid k8smeta.rc.label[] k8smeta.rc.labels`},
		{"user database details", `
			string: user.homedir user.shell`},
		{"process counters", `
			uint: proc.nthreads proc.nchilds proc.vmsize proc.vmrss proc.vmswap proc.fdopencount
			int: proc.fdlimit
			float: proc.fdusage thread.cpu thread.cpu.user thread.cpu.system
			uint: thread.vmsize thread.vmrss thread.vmsize.b thread.vmrss.b thread.pfmajor thread.pfminor
			uint: evt.count.procinfo evt.count.threadinfo
			duration: thread.exectime thread.totexectime
			string: thread.nametid thread.cgroups thread.cgroup[]`},
		{"pid namespace start times", `
			duration: proc.exe_ino.ctime_duration_pidns_start
			abstime: proc.pidns_init_start_ts`},
		{"times relative to other events", `
			duration: evt.latency evt.latency.s evt.latency.ns evt.deltatime evt.deltatime.s evt.deltatime.ns
			duration: evt.reltime evt.reltime.s evt.reltime.ns
			string: evt.latency.human
			uint: evt.latency.quantized evt.around[]`},
		{"log sources", `
			string: syslog.facility.str syslog.severity.str syslog.message
			uint: syslog.facility syslog.severity`},
	}
}
