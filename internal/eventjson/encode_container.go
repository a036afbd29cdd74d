package eventjson

import (
	"maps"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// groupKey stands for a control group and what its container's runtime has
// said so far, which comes later than the group.
type groupKey struct {
	group *event.Cgroup
	meta  *event.ContainerMeta
}

func groupOf(c *event.Cgroup) groupKey {
	if c == nil {
		return groupKey{}
	}
	return groupKey{c, c.Meta}
}

// putGroup writes a control group and all that is known of its container,
// putShortGroup no more than what tells the container from others.
func putGroup(w *writer, k groupKey)      { putCgroup(w, k, true) }
func putShortGroup(w *writer, k groupKey) { putCgroup(w, k, false) }

func putCgroup(w *writer, k groupKey, whole bool) {
	c := k.group
	w.open("cgroup")
	w.putUint("id", c.ID)
	w.putStr("path", c.Path)
	w.close()
	w.unlessEmpty("container", func() {
		w.addStr("id", c.ContainerID)
		w.addStr("full_id", c.FullID)
		w.addStr("runtime", c.Runtime)
		w.addStr("pod_uid", c.PodUID)
		if k.meta != nil {
			putMeta(w, k.meta, whole)
		}
	})
}

// unlessEmpty writes an object with the members that add writes, and nothing
// where there are none.
func (w *writer) unlessEmpty(name string, add func()) {
	before := len(w.b)
	w.open(name)
	start := len(w.b)
	if add(); len(w.b) == start {
		w.b = w.b[:before]
		return
	}
	w.close()
}

func putMeta(w *writer, m *event.ContainerMeta, whole bool) {
	w.addStr("name", m.Name)
	w.addStr("image", m.Image)
	if whole {
		w.addStr("image_id", m.ImageID)
		w.addStr("image_repository", m.ImageRepository)
		w.addStr("image_tag", m.ImageTag)
		w.addStr("image_digest", m.ImageDigest)
		w.addLabels("labels", m.Labels)
		w.addFlag("privileged", m.Privileged)
		w.addFlag("host_pid", m.HostPID)
		w.addFlag("host_network", m.HostNetwork)
		w.addFlag("host_ipc", m.HostIPC)
		putMounts(w, m.Mounts)
		w.addStr("ip", m.IP)
		w.addTime("started", m.Started)
	}
	w.unlessEmpty("pod", func() {
		w.addStr("name", m.PodName)
		w.addStr("namespace", m.PodNamespace)
		if whole {
			w.addStr("uid", m.PodUID)
			w.addStr("sandbox_id", m.SandboxID)
			w.addLabels("labels", m.PodLabels)
		}
	})
}

func putMounts(w *writer, mounts []event.ContainerMount) {
	if len(mounts) == 0 {
		return
	}
	w.key("mounts")
	w.b = append(w.b, '[')
	for i := range mounts {
		m := &mounts[i]
		w.sep()
		w.b = append(w.b, '{')
		w.putStr("source", m.Source)
		w.putStr("dest", m.Dest)
		w.addStr("mode", m.Mode)
		w.addStr("propagation", m.Propagation)
		w.addFlag("rw", m.RW)
		w.close()
	}
	w.b = append(w.b, ']')
}

// addLabels writes labels as an object, in the order of their names.
func (w *writer) addLabels(name string, labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	w.open(name)
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		w.sep()
		w.b = AppendString(w.b, k)
		w.b = append(w.b, ':')
		w.b = AppendString(w.b, labels[k])
	}
	w.close()
}
