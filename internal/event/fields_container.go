package event

import (
	"path"
	"slices"
	"strconv"
	"time"
)

// metaOf is what is known of the event's container, nil for nothing.
func metaOf(ev *Event) *ContainerMeta {
	if ev.Proc == nil || ev.Proc.Cgroup == nil {
		return nil
	}
	return ev.Proc.Cgroup.Meta
}

func metaStr(get func(*ContainerMeta) string) source {
	return source{str: func(ev *Event, _ *Ref) (string, bool) {
		if m := metaOf(ev); m != nil {
			return nonEmpty(get(m))
		}
		return "", false
	}}
}

func metaFlag(get func(*ContainerMeta) bool) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		m := metaOf(ev)
		return boolNum(m != nil && get(m)), m != nil
	}}
}

func metaTime(get func(*Event, time.Time) int64) source {
	return source{num: func(ev *Event, _ *Ref) (int64, bool) {
		if m := metaOf(ev); m != nil && !m.Started.IsZero() {
			return get(ev, m.Started), true
		}
		return 0, false
	}}
}

// metaKeyed gives one of some labels, metaLabels all of them.
func metaKeyed(get func(*ContainerMeta) map[string]string) source {
	return source{str: func(ev *Event, r *Ref) (string, bool) {
		if m := metaOf(ev); m != nil {
			v, ok := get(m)[r.arg]
			return v, ok
		}
		return "", false
	}}
}

func metaLabels(get func(*ContainerMeta) map[string]string) source {
	return source{text: func(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
		m := metaOf(ev)
		if m == nil {
			return dst, false
		}
		return appendLabels(dst, get(m))
	}}
}

func metaMount(get func(*ContainerMount) string) source {
	return source{str: func(ev *Event, r *Ref) (string, bool) {
		if m := metaOf(ev); m != nil {
			if x := m.mount(r); x != nil {
				return nonEmpty(get(x))
			}
		}
		return "", false
	}}
}

func containerLabels(m *ContainerMeta) map[string]string { return m.Labels }
func podLabels(m *ContainerMeta) map[string]string       { return m.PodLabels }

func containerName(ev *Event, _ *Ref) (string, bool) {
	if ev.Proc == nil || ev.Proc.Cgroup == nil || ev.Proc.Cgroup.ContainerID == "" {
		return "host", true
	}
	if m := metaOf(ev); m != nil {
		return nonEmpty(m.Name)
	}
	return "", false
}

func containerMounts(ev *Event, _ *Ref, dst []byte) ([]byte, bool) {
	m := metaOf(ev)
	if m == nil || len(m.Mounts) == 0 {
		return dst, false
	}
	for i := range m.Mounts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.Mounts[i].append(dst)
	}
	return dst, true
}

func containerMount(ev *Event, r *Ref, dst []byte) ([]byte, bool) {
	if m := metaOf(ev); m != nil {
		if x := m.mount(r); x != nil {
			return x.append(dst), true
		}
	}
	return dst, false
}

// containerMetaFields are what a container's runtime says. They are absent on
// the host, and while or where the runtime does not tell.
func containerMetaFields() []Field {
	return append(append(containerOwnFields(), containerMountFields()...), podFields()...)
}

// containerOwnFields are about the container itself.
func containerOwnFields() []Field {
	return []Field{
		{Name: "container.name", Doc: "name of the container, or host", src: source{str: containerName}},
		{Name: "container.image", Doc: "image of the container as it was named", src: metaStr(func(m *ContainerMeta) string { return m.Image })},
		{Name: "container.image.id", Doc: "id of the image", src: metaStr(func(m *ContainerMeta) string { return m.ImageID })},
		{Name: "container.image.repository", Doc: "image without tag and digest", src: metaStr(func(m *ContainerMeta) string { return m.ImageRepository })},
		{Name: "container.image.tag", Doc: "tag of the image", src: metaStr(func(m *ContainerMeta) string { return m.ImageTag })},
		{Name: "container.image.digest", Doc: "digest of the image", src: metaStr(func(m *ContainerMeta) string { return m.ImageDigest })},
		{Name: "container.privileged", Type: FieldBool, Doc: "the container is privileged", src: metaFlag(func(m *ContainerMeta) bool { return m.Privileged })},
		{Name: "container.host_pid", Type: FieldBool, Doc: "it shares the host's pid namespace", src: metaFlag(func(m *ContainerMeta) bool { return m.HostPID })},
		{Name: "container.host_network", Type: FieldBool, Doc: "it shares the host's network", src: metaFlag(func(m *ContainerMeta) bool { return m.HostNetwork })},
		{Name: "container.host_ipc", Type: FieldBool, Doc: "it shares the host's IPC namespace", src: metaFlag(func(m *ContainerMeta) bool { return m.HostIPC })},
		{Name: "container.ip", Doc: "its address", src: metaStr(func(m *ContainerMeta) string { return m.IP })},
		{Name: "container.labels", Doc: "its labels as key:value, joined by commas", src: metaLabels(containerLabels)},
		{Name: "container.label", Arg: ArgRequiredKey, Doc: "one label: container.label[app]", src: metaKeyed(containerLabels)},
		{Name: "container.start_ts", Type: FieldAbsTime, Doc: "when it was started", src: metaTime(func(_ *Event, at time.Time) int64 { return at.UnixNano() })},
		{Name: "container.duration", Type: FieldDuration, Doc: "time since it was started", src: metaTime(func(ev *Event, at time.Time) int64 { return int64(max(ev.Time.Sub(at), 0)) })},
	}
}

// containerMountFields are about what it has mounted.
func containerMountFields() []Field {
	return []Field{
		{Name: "container.mounts", Doc: "its mounts as source:dest:mode:rw:propagation, joined by commas", src: source{text: containerMounts}},
		{Name: "container.mount", Arg: ArgRequiredKey, Doc: "one mount, by number or by its source", src: source{text: containerMount}},
		{Name: "container.mount.source", Arg: ArgRequiredKey, Doc: "source of a mount, by number or by where it is mounted", src: metaMount(func(m *ContainerMount) string { return m.Source })},
		{Name: "container.mount.dest", Arg: ArgRequiredKey, Doc: "where a mount is, by number or by its source", src: metaMount(func(m *ContainerMount) string { return m.Dest })},
		{Name: "container.mount.mode", Arg: ArgRequiredKey, Doc: "mode of a mount", src: metaMount(func(m *ContainerMount) string { return m.Mode })},
		{Name: "container.mount.rdwr", Arg: ArgRequiredKey, Doc: "true where a mount can be written", src: metaMount(func(m *ContainerMount) string {
			if m.RW {
				return "true"
			}
			return "false"
		})},
		{Name: "container.mount.propagation", Arg: ArgRequiredKey, Doc: "propagation of a mount", src: metaMount(func(m *ContainerMount) string { return m.Propagation })},
	}
}

// podFields are about its Kubernetes pod, from the container's labels.
func podFields() []Field {
	return []Field{
		{Name: "k8s.pod.name", Doc: "name of the pod, from the container's labels", src: metaStr(func(m *ContainerMeta) string { return m.PodName })},
		{Name: "k8s.pod.id", Doc: "uid of the pod, from the container's labels", src: metaStr(func(m *ContainerMeta) string { return m.PodUID })},
		{Name: "k8s.ns.name", Doc: "namespace of the pod, from the container's labels", src: metaStr(func(m *ContainerMeta) string { return m.PodNamespace })},
		{Name: "k8s.pod.sandbox_id", Doc: "id of the pod's sandbox, 12 digits", src: metaStr(func(m *ContainerMeta) string { return m.SandboxID[:min(12, len(m.SandboxID))] })},
		{Name: "k8s.pod.full_sandbox_id", Doc: "whole id of the pod's sandbox", src: metaStr(func(m *ContainerMeta) string { return m.SandboxID })},
		{Name: "k8s.pod.ip", Doc: "address of the pod", src: metaStr(func(m *ContainerMeta) string { return m.IP })},
		{Name: "k8s.pod.labels", Doc: "labels of the pod as key:value, joined by commas", src: metaLabels(podLabels)},
		{Name: "k8s.pod.label", Arg: ArgRequiredKey, Doc: "one label of the pod", src: metaKeyed(podLabels)},
	}
}

// mount finds a mount by number, or by a pattern of its source or destination.
func (m *ContainerMeta) mount(r *Ref) *ContainerMount {
	if r.isIndex {
		if r.index < len(m.Mounts) {
			return &m.Mounts[r.index]
		}
		return nil
	}
	bySource := r.f.Name != "container.mount.source"
	for i := range m.Mounts {
		at := m.Mounts[i].Dest
		if bySource {
			at = m.Mounts[i].Source
		}
		if ok, err := path.Match(r.arg, at); err == nil && ok || at == r.arg {
			return &m.Mounts[i]
		}
	}
	return nil
}

// append writes the mount as "source:dest:mode:rw:propagation".
func (m *ContainerMount) append(dst []byte) []byte {
	dst = append(append(append(dst, m.Source...), ':'), m.Dest...)
	dst = append(append(append(dst, ':'), m.Mode...), ':')
	dst = strconv.AppendBool(dst, m.RW)
	return append(append(dst, ':'), m.Propagation...)
}

func appendLabels(dst []byte, labels map[string]string) ([]byte, bool) {
	if len(labels) == 0 {
		return dst, false
	}
	keys := make([]string, 0, len(labels))
	for k := range labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(append(append(dst, k...), ':'), labels[k]...)
	}
	return dst, true
}
