package process

import (
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

const (
	idLen      = 64 // digits of a full container id
	shortIDLen = 12
)

// prefixes of cgroup names that end in a container's id, such as
// "docker-<id>.scope", and the runtimes that use them.
var scopePrefixes = [...]struct{ prefix, runtime string }{
	{"docker-", "docker"},
	{"cri-containerd-", "containerd"},
	{"nerdctl-", "containerd"},
	{"containerd-", "containerd"},
	{"crio-", "cri-o"},
	{"libpod-", "podman"},
	{"isulad-", "isulad"},
}

// folders below which a container's cgroup is named by its id alone.
var idFolders = [...]struct{ folder, runtime string }{
	{"docker", "docker"},
	{"docker-ce", "docker"},
	{"libpod_parent", "podman"},
	{"containerd", "containerd"},
	{"crio", "cri-o"},
}

// ParseCgroup reads from a control group's path what container, runtime and
// pod it belongs to. The innermost container counts: of docker in docker, and
// of a Kubernetes node that is itself a container, that is the inner one; a
// service inside a container belongs to that container. Who may create control
// groups inside a container can so give itself another id, not the host's.
func ParseCgroup(id uint64, path string) *event.Cgroup {
	c := &event.Cgroup{ID: id, Path: path}
	inPods := strings.Contains(path, "kubepods")
	settled := false
	for rest := path; rest != ""; {
		var comp string
		rest, comp = cutLast(rest)
		if comp == "" {
			continue
		}
		if !settled {
			above, parent := cutLast(rest)
			_, grand := cutLast(above)
			settled = setContainer(c, comp, parent, grand)
		}
		if inPods && c.PodUID == "" {
			c.PodUID = podUID(comp)
		}
	}
	return c
}

// cutLast splits a path before its last component.
func cutLast(path string) (rest, last string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// setContainer looks at one component of the path, with the two above it. It
// reports true where the question is settled, which it also is for a
// container's monitor: that runs on the host.
func setContainer(c *event.Cgroup, comp, parent, grand string) bool {
	// containerd without systemd's help: "<slice>:cri-containerd:<id>"
	if i := strings.LastIndexByte(comp, ':'); i >= 0 && isID(comp[i+1:]) {
		prefix := comp[:i]
		prefix = prefix[strings.LastIndexByte(prefix, ':')+1:]
		setID(c, comp[i+1:], prefixRuntime(prefix+"-"))
		return true
	}
	name := strings.TrimSuffix(comp, ".scope")
	if len(name) > idLen && isID(name[len(name)-idLen:]) {
		prefix := name[:len(name)-idLen]
		if strings.HasSuffix(prefix, "conmon-") {
			return true
		}
		if rt := prefixRuntime(prefix); rt != "" {
			setID(c, name[len(name)-idLen:], rt)
			return true
		}
	}
	if isID(comp) {
		setID(c, comp, folderRuntime(parent, grand))
		return true
	}
	return setNamed(c, comp, parent, grand)
}

// setNamed handles runtimes whose containers have names instead of digits.
func setNamed(c *event.Cgroup, comp, parent, grand string) bool {
	named := func(name, runtime string) bool {
		if name != "" {
			c.ContainerID, c.FullID, c.Runtime = name, name, runtime
		}
		return name != ""
	}
	if name, ok := strings.CutPrefix(comp, "lxc.payload."); ok {
		return named(name, "lxc")
	}
	if strings.HasPrefix(comp, "lxc.monitor.") {
		return true
	}
	if name, ok := strings.CutPrefix(comp, "systemd-nspawn@"); ok {
		if name, ok = strings.CutSuffix(name, ".service"); ok {
			return named(unescape(name), "systemd-nspawn")
		}
	}
	if name, ok := strings.CutPrefix(comp, "machine-"); ok {
		if name, ok = strings.CutSuffix(name, ".scope"); ok {
			return setMachine(named, unescape(name))
		}
	}
	switch {
	case parent == "lxc" || parent == "lxc.payload":
		return named(comp, "lxc")
	case parent == "lxc.monitor":
		return true
	case parent == "garden":
		return named(comp, "garden")
	case parent == "buildkit" && isWord(comp):
		return named(comp, "buildkit")
	case parent == "mesos" && isWord(comp):
		return named(comp, "mesos")
	case grand == "ecs" && isWord(comp) && isWord(parent):
		return named(comp, "ecs")
	}
	return false
}

// setMachine handles what is registered with systemd-machined. Virtual
// machines are no containers.
func setMachine(named func(name, runtime string) bool, name string) bool {
	switch {
	case strings.HasPrefix(name, "qemu-"):
		return true
	case strings.HasPrefix(name, "lxc-"):
		return named(strings.TrimPrefix(name, "lxc-"), "libvirt-lxc")
	case strings.HasPrefix(name, "rkt-"):
		return named(strings.TrimPrefix(name, "rkt-"), "rkt")
	}
	return named(name, "systemd-nspawn")
}

func setID(c *event.Cgroup, id, runtime string) {
	c.ContainerID, c.FullID, c.Runtime = id[:shortIDLen], id, runtime
}

func prefixRuntime(prefix string) string {
	for _, p := range scopePrefixes {
		if p.prefix == prefix {
			return p.runtime
		}
	}
	return ""
}

func folderRuntime(parent, grand string) string {
	for _, f := range idFolders {
		if f.folder == parent {
			return f.runtime
		}
	}
	switch {
	case grand == "ecs":
		return "ecs"
	case parent == "lxc", parent == "garden", parent == "buildkit", parent == "mesos":
		return parent
	}
	return ""
}

// isID reports whether s is a full container id: 64 lower-case hex digits.
func isID(s string) bool {
	if len(s) != idLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isWord reports whether s looks like an id: eight or more letters, digits or
// hyphens.
func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return len(s) >= 8
}

// podUID returns the pod's uid where a component names one:
// "pod<uid>" or "kubepods-burstable-pod<uid with underscores>.slice".
func podUID(comp string) string {
	if i := strings.IndexByte(comp, ':'); i >= 0 {
		comp = comp[:i]
	}
	uid, ok := strings.CutPrefix(comp, "pod")
	if !ok {
		comp, ok = strings.CutSuffix(comp, ".slice")
		i := strings.LastIndex(comp, "-pod")
		if !ok || i < 0 || !strings.HasPrefix(comp, "kubepods") && !strings.Contains(comp, "-kubepods") {
			return ""
		}
		uid = strings.ReplaceAll(comp[i+len("-pod"):], "_", "-")
	}
	if !isUID(uid) {
		return ""
	}
	return uid
}

// isUID accepts a UUID, and the 32 digits that static pods have.
func isUID(s string) bool {
	if len(s) != 32 && len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		hyphen := len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23)
		if hyphen != (c == '-') {
			return false
		}
		if !hyphen && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// unescape undoes systemd's escaping of unit names: \xNN.
func unescape(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			hi, lo := unhex(s[i+2]), unhex(s[i+3])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
