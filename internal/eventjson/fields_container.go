package eventjson

// containerFields are the members of a container.
func containerFields(at string) []Field {
	return under(at, []Field{
		{"", "object", "events", true, "Container, as far as the control group's path and the container's runtime tell."},
		{"id", "text", "events", true, "Its id in the short form of 12 digits."},
		{"full_id", "text", "events", true, "Its whole id."},
		{"runtime", "text", "events", true, "What runs it: docker, containerd, podman …"},
		{"pod_uid", "text", "events", true, "Uid of its Kubernetes pod, from the control group's path."},
		{"name", "text", "events", true, "Its name."},
		{"image", "text", "events", true, "Its image as it was named."},
		{"image_id", "text", "events", true, "Id of the image."},
		{"image_repository", "text", "events", true, "Image without tag and digest."},
		{"image_tag", "text", "events", true, "Tag of the image."},
		{"image_digest", "text", "events", true, "Digest of the image."},
		{"labels", "object", "events", true, "Its labels, each with its text."},
		{"privileged", "flag", "events", true, "It is privileged."},
		{"host_pid", "flag", "events", true, "It shares the host's pid namespace."},
		{"host_network", "flag", "events", true, "It shares the host's network."},
		{"host_ipc", "flag", "events", true, "It shares the host's IPC namespace."},
		{"mounts", "list", "events", true, "What it sees of the host, and its volumes."},
		{"mounts[].source", "text", "events", false, "Path on the host, or name of the volume."},
		{"mounts[].dest", "text", "events", false, "Path in the container."},
		{"mounts[].mode", "text", "events", true, "Mode of the mount, as the runtime has it."},
		{"mounts[].propagation", "text", "events", true, "Propagation of the mount."},
		{"mounts[].rw", "flag", "events", true, "It can be written."},
		{"ip", "text", "events", true, "Its address."},
		{"started", "time", "events", true, "When it was started."},
		{"pod", "object", "events", true, "Its Kubernetes pod, from the container's labels."},
		{"pod.name", "text", "events", true, "Name of the pod."},
		{"pod.namespace", "text", "events", true, "Namespace of the pod."},
		{"pod.uid", "text", "events", true, "Uid of the pod."},
		{"pod.sandbox_id", "text", "events", true, "Id of the pod's sandbox."},
		{"pod.labels", "object", "events", true, "Labels of the pod, each with its text."},
	})
}
