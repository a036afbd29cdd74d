package container

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func group(id string) *event.Cgroup {
	return &event.Cgroup{ContainerID: id[:min(12, len(id))], FullID: id, Runtime: "docker"}
}

const docker = `{"Name":"/web","Image":"sha256:aa","Created":"2026-01-02T03:04:05Z","State":{"StartedAt":"2026-01-02T03:04:06Z"},
"Config":{"Image":"registry:5000/team/nginx:1.25@sha256:bb","Labels":{"app":"shop","io.kubernetes.pod.name":"shop-1","io.kubernetes.pod.namespace":"prod"}},
"HostConfig":{"Privileged":true,"PidMode":"host","NetworkMode":"host","IpcMode":"private"},
"Mounts":[{"Source":"/srv","Destination":"/data","Mode":"ro","RW":false,"Propagation":"rprivate"}],"NetworkSettings":{"IPAddress":"172.17.0.2"}}`

// serve answers as a runtime does, on a socket below dir.
func serve(t *testing.T, dir string, h http.HandlerFunc) string {
	t.Helper()
	path := filepath.Join(dir, "d.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "/d.sock"
}

func resolver(t *testing.T, o Options) *Resolver {
	t.Helper()
	r := New(o)
	t.Cleanup(r.Close)
	return r
}

func TestDocker(t *testing.T) {
	dir := t.TempDir()
	socket := serve(t, dir, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/containers/"+id+"/json" {
			fmt.Fprint(w, docker)
			return
		}
		http.NotFound(w, r)
	})
	r := resolver(t, Options{Root: dir, Sockets: []string{socket}, Wait: 5 * time.Second})
	m := r.Wait(group(id))
	if m == nil {
		t.Fatal("nothing was found")
	}
	if m.Name != "web" || m.ImageRepository != "registry:5000/team/nginx" || m.ImageTag != "1.25" || m.ImageDigest != "sha256:bb" || m.ImageID != "aa" ||
		!m.Privileged || !m.HostPID || !m.HostNetwork || m.HostIPC || m.PodName != "shop-1" || m.PodNamespace != "prod" || m.IP != "172.17.0.2" ||
		m.Labels["app"] != "shop" || len(m.Mounts) != 1 || m.Mounts[0].Dest != "/data" || m.Started.Year() != 2026 {
		t.Errorf("%+v", m)
	}
	if again := r.Lookup(group(id)); again != m {
		t.Error("the second lookup gives something else")
	}
	if m := r.Wait(group(strings.Repeat("e", 64))); m != nil {
		t.Errorf("an unknown container is %+v", m)
	}
}

func TestHangingRuntime(t *testing.T) {
	dir := t.TempDir()
	release := make(chan struct{})
	defer close(release)
	socket := serve(t, dir, func(http.ResponseWriter, *http.Request) { <-release })
	r := resolver(t, Options{Root: dir, Sockets: []string{socket}})
	begun := time.Now()
	for range 50 {
		r.Lookup(group(id))
	}
	if d := time.Since(begun); d > 100*time.Millisecond {
		t.Errorf("Lookup waits: %v", d)
	}
	for i := range 100 {
		r.Wait(group(fmt.Sprintf("%064x", i)))
	}
	if d := time.Since(begun); d > 4*time.Second {
		t.Errorf("100 containers of a hanging runtime hold everything up for %v", d)
	}
}

func TestBadAnswers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"rubbish":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"empty":     func(http.ResponseWriter, *http.Request) {},
		"error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, docker) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://192.0.2.1/", 302) },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"Name":"`)
			for range 8 << 10 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		},
	} {
		dir := t.TempDir()
		r := resolver(t, Options{Root: dir, Sockets: []string{serve(t, dir, h)}, Wait: time.Second})
		if m := r.Wait(group(id)); m != nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestBundle(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run/containerd/io.containerd.runtime.v2.task/k8s.io", id)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := map[string]any{
		"annotations": map[string]string{"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.image-name": "docker.io/library/redis:7",
			"io.kubernetes.cri.sandbox-name": "redis-0", "io.kubernetes.cri.sandbox-namespace": "db", "io.kubernetes.cri.sandbox-uid": "u", "io.kubernetes.cri.sandbox-id": "s"},
		"mounts":  []any{map[string]any{"source": "/var/lib/x", "destination": "/x", "options": []string{"rbind", "ro", "rslave"}}},
		"process": map[string]any{"capabilities": map[string]any{"effective": []string{"CAP_SYS_ADMIN"}}},
		"linux": map[string]any{"namespaces": []any{map[string]string{"type": "mount"}, map[string]string{"type": "pid"}},
			"resources": map[string]any{"devices": []any{map[string]any{"allow": true, "access": "rwm"}}}},
	}
	b, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"/config.json", b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := resolver(t, Options{Root: dir, Sockets: []string{}, Wait: 5 * time.Second})
	m := r.Wait(group(id))
	if m == nil || m.Name != "app" || m.ImageRepository != "docker.io/library/redis" || m.ImageTag != "7" || m.PodName != "redis-0" || m.PodNamespace != "db" ||
		m.PodUID != "u" || m.SandboxID != "s" || !m.Privileged || m.HostPID || !m.HostNetwork || len(m.Mounts) != 1 || m.Mounts[0].RW || m.Mounts[0].Propagation != "rslave" {
		t.Fatalf("%+v", m)
	}
	// a link in its place is not followed
	other := strings.Repeat("a", 64)
	if err := os.MkdirAll(filepath.Join(filepath.Dir(path), other), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+"/config.json", filepath.Join(filepath.Dir(path), other, "config.json")); err != nil {
		t.Fatal(err)
	}
	if m := r.Wait(group(other)); m != nil {
		t.Errorf("a link is followed: %+v", m)
	}
}

func TestNames(t *testing.T) {
	r := resolver(t, Options{Root: t.TempDir(), Sockets: []string{}, Wait: 5 * time.Second})
	if m := r.Wait(&event.Cgroup{ContainerID: "web", FullID: "web", Runtime: "lxc"}); m == nil || m.Name != "web" {
		t.Errorf("%+v", m)
	}
	for _, bad := range []string{"", "../x", "a/b", ".", "a b", strings.Repeat("a", 200)} {
		if m := r.Wait(&event.Cgroup{FullID: bad, Runtime: "lxc"}); m != nil {
			t.Errorf("%q is looked up", bad)
		}
	}
	if r.Wait(nil) != nil {
		t.Error("no control group has a container")
	}
}

func TestBounds(t *testing.T) {
	r := New(Options{Root: t.TempDir(), Sockets: []string{}})
	for i := range 3 * maxCached {
		r.Lookup(group(fmt.Sprintf("%064x", i)))
	}
	if s := r.Stats(); s.Cached > maxCached || s.Evicted != 2*maxCached {
		t.Errorf("%+v", s)
	}
	before := runtime.NumGoroutine()
	r.Close()
	for range 100 {
		if runtime.NumGoroutine() < before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the workers outlive Close")
}

// TestVanishing closes while lookups are under way.
func TestVanishing(t *testing.T) {
	dir := t.TempDir()
	socket := serve(t, dir, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
			fmt.Fprint(w, docker)
		}
	})
	r := New(Options{Root: dir, Sockets: []string{socket}})
	for i := range 20 {
		r.Lookup(group(fmt.Sprintf("%064x", i)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { r.Close(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Error("Close hangs")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(docker))
	f.Add([]byte(`{"annotations":{"a":"b"},"linux":{"namespaces":[{"type":"pid"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []*event.ContainerMeta{parseDocker(b), parseBundle(b)} {
			if m != nil && strings.Contains(m.ImageTag, "/") {
				t.Errorf("the tag %q is none", m.ImageTag)
			}
		}
	})
}
