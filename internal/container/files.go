package container

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// bundles are the files in which runtimes keep what they start, with ID in the
// place of the container's id.
func bundles() []string {
	return []string{
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
		"/run/containerd/io.containerd.runtime.v2.task/moby/ID/config.json",
		"/run/containerd/io.containerd.runtime.v2.task/default/ID/config.json",
		"/run/containers/storage/overlay-containers/ID/userdata/config.json",
		"/var/lib/containers/storage/overlay-containers/ID/userdata/config.json",
	}
}

const dockerFile = "/var/lib/docker/containers/ID/config.v2.json"

// fromFiles looks for the files of a container; nil where there are none.
func (r *Resolver) fromFiles(id string) *event.ContainerMeta {
	for _, pattern := range bundles() {
		if b := readFile(r.opts.Root, strings.ReplaceAll(pattern, "ID", id)); b != nil {
			if m := parseBundle(b); m != nil {
				return m
			}
		}
	}
	if b := readFile(r.opts.Root, strings.ReplaceAll(dockerFile, "ID", id)); b != nil {
		return parseDocker(b)
	}
	return nil
}

// readFile reads a regular file that is not reached through a link at its end;
// nil where that fails.
func readFile(root, path string) []byte {
	fd, err := unix.Open(filepath.Join(root, path), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxBody {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxBody))
	if err != nil {
		return nil
	}
	return b
}

// bundle is the part of an OCI runtime configuration that matters.
type bundle struct {
	Annotations map[string]string
	Mounts      []struct {
		Source, Destination, Type string
		Options                   []string
	}
	Process struct{ Capabilities struct{ Effective []string } }
	Linux   struct {
		Namespaces []struct{ Type, Path string }
		Resources  struct {
			Devices []struct {
				Allow  bool
				Access string
				Type   string
			}
		}
	}
}

// parseBundle reads a config.json; nil where it is none that says something.
func parseBundle(b []byte) *event.ContainerMeta {
	var c bundle
	if json.Unmarshal(b, &c) != nil || len(c.Annotations) == 0 && len(c.Mounts) == 0 {
		return nil
	}
	a := c.Annotations
	first := func(keys ...string) string {
		for _, k := range keys {
			if a[k] != "" {
				return a[k]
			}
		}
		return ""
	}
	m := &event.ContainerMeta{
		Name:  first("io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName", "io.kubernetes.container.name", "io.podman.annotations.container-name"),
		Image: first("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.Image", "org.opencontainers.image.ref.name"),
	}
	m.Labels = a
	complete(m)
	m.PodName = first("io.kubernetes.cri.sandbox-name", "io.kubernetes.cri-o.KubeName", "io.kubernetes.pod.name")
	m.PodNamespace = first("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri-o.Namespace", "io.kubernetes.pod.namespace")
	m.PodUID = first("io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid")
	m.SandboxID = first("io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID")
	own := map[string]bool{}
	for _, ns := range c.Linux.Namespaces {
		own[ns.Type] = true
	}
	if len(own) > 0 {
		m.HostPID, m.HostNetwork, m.HostIPC = !own["pid"], !own["network"], !own["ipc"]
	}
	m.Privileged = privileged(&c)
	for _, x := range c.Mounts {
		mount := event.ContainerMount{Source: x.Source, Dest: x.Destination, RW: true}
		for _, o := range x.Options {
			switch o {
			case "ro":
				mount.RW = false
			case "private", "rprivate", "shared", "rshared", "slave", "rslave":
				mount.Propagation = o
			}
		}
		mount.Mode = strings.Join(x.Options, ",")
		m.Mounts = append(m.Mounts, mount)
	}
	return m
}

// privileged takes a container for privileged that may use all devices and has
// the capability to administer the host.
func privileged(c *bundle) bool {
	admin := false
	for _, name := range c.Process.Capabilities.Effective {
		admin = admin || name == "CAP_SYS_ADMIN"
	}
	for _, d := range c.Linux.Resources.Devices {
		if admin && d.Allow && d.Access == "rwm" && (d.Type == "" || d.Type == "a") {
			return true
		}
	}
	return false
}
