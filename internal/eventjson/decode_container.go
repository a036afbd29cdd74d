package eventjson

import "github.com/bearcat-hids/bearcat/internal/event"

func (d *decoder) container() (*event.Cgroup, error) {
	c := new(event.Cgroup)
	m := new(event.ContainerMeta)
	err := d.object(func(name string) (err error) {
		switch name {
		case "id":
			c.ContainerID, err = d.str()
		case "full_id":
			c.FullID, err = d.str()
		case "runtime":
			c.Runtime, err = d.str()
		case "pod_uid":
			c.PodUID, err = d.str()
		default:
			var known bool
			if known, err = d.meta(name, m); known {
				c.Meta = m
			}
		}
		return err
	})
	return c, err
}

// meta reads the member called name if it is one that a container's runtime
// tells, and reports whether it is; it skips any other.
func (d *decoder) meta(name string, m *event.ContainerMeta) (known bool, err error) {
	switch name {
	case "name":
		m.Name, err = d.str()
	case "image":
		m.Image, err = d.str()
	case "image_id":
		m.ImageID, err = d.str()
	case "image_repository":
		m.ImageRepository, err = d.str()
	case "image_tag":
		m.ImageTag, err = d.str()
	case "image_digest":
		m.ImageDigest, err = d.str()
	case "labels":
		m.Labels, err = d.labels()
	case "privileged":
		m.Privileged, err = d.boolean()
	case "host_pid":
		m.HostPID, err = d.boolean()
	case "host_network":
		m.HostNetwork, err = d.boolean()
	case "host_ipc":
		m.HostIPC, err = d.boolean()
	case "mounts":
		err = d.list(func() error { return d.mount(m) })
	case "ip":
		m.IP, err = d.str()
	case "started":
		m.Started, err = d.time()
	case "pod":
		err = d.pod(m)
	default:
		return false, d.skip()
	}
	return true, err
}

func (d *decoder) pod(m *event.ContainerMeta) error {
	return d.object(func(name string) (err error) {
		switch name {
		case "name":
			m.PodName, err = d.str()
		case "namespace":
			m.PodNamespace, err = d.str()
		case "uid":
			m.PodUID, err = d.str()
		case "sandbox_id":
			m.SandboxID, err = d.str()
		case "labels":
			m.PodLabels, err = d.labels()
		default:
			err = d.skip()
		}
		return err
	})
}

func (d *decoder) mount(m *event.ContainerMeta) error {
	var x event.ContainerMount
	err := d.object(func(name string) (err error) {
		switch name {
		case "source":
			x.Source, err = d.str()
		case "dest":
			x.Dest, err = d.str()
		case "mode":
			x.Mode, err = d.str()
		case "propagation":
			x.Propagation, err = d.str()
		case "rw":
			x.RW, err = d.boolean()
		default:
			err = d.skip()
		}
		return err
	})
	m.Mounts = append(m.Mounts, x)
	return err
}

func (d *decoder) labels() (map[string]string, error) {
	out := map[string]string{}
	err := d.object(func(name string) (err error) {
		out[name], err = d.str()
		return err
	})
	return out, err
}
