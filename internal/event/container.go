package event

import "time"

// ContainerMeta is what a container's runtime says of it.
type ContainerMeta struct {
	Name                          string
	Image                         string
	ImageID                       string
	ImageRepository, ImageTag     string
	ImageDigest                   string
	Labels                        map[string]string
	Privileged                    bool
	HostPID, HostNetwork, HostIPC bool
	Mounts                        []ContainerMount
	IP                            string
	Started                       time.Time
	PodName, PodNamespace, PodUID string
	SandboxID                     string
	PodLabels                     map[string]string
}

// ContainerMount is a part of the host, or a volume, that a container sees.
type ContainerMount struct {
	Source, Dest, Mode, Propagation string
	RW                              bool
}
