package container

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// client asks the runtimes that have Docker's API.
type client struct {
	root    string
	sockets []string
	http    map[string]*http.Client
}

func newClient(o Options) *client {
	c := &client{root: o.Root, sockets: o.Sockets, http: map[string]*http.Client{}}
	if c.sockets == nil {
		c.sockets = []string{"/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"}
		users, _ := filepath.Glob(o.Root + "/run/user/*/podman/podman.sock")
		for _, u := range users {
			c.sockets = append(c.sockets, strings.TrimPrefix(u, o.Root))
		}
	}
	for _, s := range c.sockets {
		path := c.root + s
		c.http[s] = &http.Client{
			// a runtime has no business sending us elsewhere
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			}, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
		}
	}
	return c
}

func (c *client) close() {
	for _, h := range c.http {
		h.CloseIdleConnections()
	}
}

// inspect asks each socket for a container; nil where none knows it.
func (c *client) inspect(ctx context.Context, id string) *event.ContainerMeta {
	for _, s := range c.sockets {
		st, err := os.Stat(c.root + s)
		if err != nil || st.Mode()&os.ModeSocket == 0 {
			continue
		}
		if m := c.ask(ctx, s, id); m != nil {
			return m
		}
	}
	return nil
}

func (c *client) ask(ctx context.Context, socket, id string) *event.ContainerMeta {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://runtime/containers/"+id+"/json", nil)
	if err != nil {
		return nil
	}
	res, err := c.http[socket].Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil
	}
	return parseDocker(b)
}

// dockerContainer is the part of an answer that matters (GET
// /containers/ID/json of the Docker Engine API).
type dockerContainer struct {
	Name, Image string
	Created     time.Time
	State       struct{ StartedAt time.Time }
	Config      struct {
		Image  string
		Labels map[string]string
	}
	HostConfig struct {
		Privileged                    bool
		PidMode, NetworkMode, IpcMode string
	}
	Mounts []struct {
		Source, Destination, Mode, Propagation string
		RW                                     bool
	}
	NetworkSettings struct{ IPAddress string }
}

// parseDocker reads an answer; nil where it is none.
func parseDocker(b []byte) *event.ContainerMeta {
	var d dockerContainer
	if json.Unmarshal(b, &d) != nil || d.Name == "" && d.Config.Image == "" {
		return nil
	}
	m := &event.ContainerMeta{
		Name: strings.TrimPrefix(d.Name, "/"), Image: d.Config.Image, ImageID: strings.TrimPrefix(d.Image, "sha256:"),
		Labels: d.Config.Labels, Privileged: d.HostConfig.Privileged, HostPID: d.HostConfig.PidMode == "host",
		HostNetwork: d.HostConfig.NetworkMode == "host", HostIPC: d.HostConfig.IpcMode == "host", IP: d.NetworkSettings.IPAddress,
		Started: d.State.StartedAt,
	}
	for _, x := range d.Mounts {
		m.Mounts = append(m.Mounts, event.ContainerMount{Source: x.Source, Dest: x.Destination, Mode: x.Mode, RW: x.RW, Propagation: x.Propagation})
	}
	complete(m)
	return m
}

// complete works out what follows from image and labels.
func complete(m *event.ContainerMeta) {
	m.ImageRepository = m.Image
	if repo, digest, ok := strings.Cut(m.ImageRepository, "@"); ok {
		m.ImageRepository, m.ImageDigest = repo, digest
	}
	// a colon before the last slash is a port's
	if i := strings.LastIndexByte(m.ImageRepository, ':'); i > strings.LastIndexByte(m.ImageRepository, '/') {
		m.ImageRepository, m.ImageTag = m.ImageRepository[:i], m.ImageRepository[i+1:]
	}
	l := m.Labels
	m.PodName, m.PodNamespace, m.PodUID = l["io.kubernetes.pod.name"], l["io.kubernetes.pod.namespace"], l["io.kubernetes.pod.uid"]
	if s := l["io.kubernetes.cri.sandbox-id"]; s != "" {
		m.SandboxID = s
	}
	if n := l["io.kubernetes.container.name"]; n != "" && m.Name == "" {
		m.Name = n
	}
}
