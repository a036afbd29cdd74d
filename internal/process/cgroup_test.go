package process

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

const (
	hexA = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	hexB = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	uid  = "11111111-2222-3333-4444-555555555555"
)

func TestParseCgroup(t *testing.T) {
	uscore := strings.ReplaceAll(uid, "-", "_")
	for _, c := range []struct{ path, id, runtime, pod string }{
		{"", "", "", ""},
		{"/", "", "", ""},
		{"//", "", "", ""},
		{"/init.scope", "", "", ""},
		{"/user.slice/user-1000.slice/session-3.scope", "", "", ""},
		{"/system.slice/docker.service", "", "", ""},
		{"/system.slice/containerd.service/kubepods", "", "", ""},
		{"/docker/" + hexA, hexA, "docker", ""},
		{"/docker/" + hexA + "/system.slice/cron.service", hexA, "docker", ""},
		{"/docker/" + hexA + "/docker/" + hexB, hexB, "docker", ""},
		{"/system.slice/docker-" + hexA + ".scope", hexA, "docker", ""},
		{"/system.slice/docker-" + hexA + ".scope/init.scope", hexA, "docker", ""},
		{"/system.slice/docker-" + hexA[1:] + ".scope", "", "", ""},
		{"/system.slice/docker-" + strings.ToUpper(hexA) + ".scope", "", "", ""},
		{"/system.slice/other-" + hexA + ".scope", "", "", ""},
		{"/custom/" + hexA, hexA, "", ""},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uscore + ".slice/cri-containerd-" + hexA + ".scope", hexA, "containerd", uid},
		{"/kubepods.slice/kubepods-pod" + uscore + ".slice/crio-" + hexA + ".scope", hexA, "cri-o", uid},
		{"/kubepods.slice/kubepods-pod" + uscore + ".slice/crio-conmon-" + hexA + ".scope", "", "", uid},
		{"/kubepods/besteffort/pod" + uid + "/" + hexA, hexA, "", uid},
		{"/kubepods/pod" + strings.ReplaceAll(uid, "-", "") + "/" + hexA, hexA, "", strings.ReplaceAll(uid, "-", "")},
		{"/kubepods/pod" + uid, "", "", uid},
		{"/podracer/pod" + uid, "", "", ""},
		{"/kubepods/podium", "", "", ""},
		{"/kubepods.slice/kubepods-pod" + uid[:35] + "x.slice", "", "", ""},
		{"/docker/" + hexB + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + uscore + ".slice/cri-containerd-" + hexA + ".scope", hexA, "containerd", uid},
		{"/system.slice/containerd.service/kubepods-besteffort-pod" + uscore + ".slice:cri-containerd:" + hexA, hexA, "containerd", uid},
		{"/system.slice:docker:" + hexA, hexA, "docker", ""},
		{"/machine.slice/libpod-" + hexA + ".scope", hexA, "podman", ""},
		{"/machine.slice/libpod-" + hexA + ".scope/container", hexA, "podman", ""},
		{"/machine.slice/libpod-conmon-" + hexA + ".scope", "", "", ""},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + hexA + ".scope", hexA, "podman", ""},
		{"/libpod_parent/libpod-" + hexA, hexA, "podman", ""},
		{"/system.slice/nerdctl-" + hexA + ".scope", hexA, "containerd", ""},
		{"/lxc/web", "web", "lxc", ""},
		{"/lxc/web/system.slice/ssh.service", "web", "lxc", ""},
		{"/lxc.payload.web/init.scope", "web", "lxc", ""},
		{"/lxc.payload/web", "web", "lxc", ""},
		{"/lxc.monitor.web", "", "", ""},
		{"/lxc.payload.", "", "", ""},
		{"/machine.slice/systemd-nspawn@build.service/payload", "build", "systemd-nspawn", ""},
		{`/machine.slice/systemd-nspawn@my\x2dbox.service`, "my-box", "systemd-nspawn", ""},
		{`/machine.slice/machine-deb\x2d12.scope`, "deb-12", "systemd-nspawn", ""},
		{`/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator`, "", "", ""},
		{`/machine.slice/machine-lxc\x2d77\x2dbox.scope`, "77-box", "libvirt-lxc", ""},
		{"/garden/a1b2c3d4-0000-1111-2222-333344445555", "a1b2c3d4-0000-1111-2222-333344445555", "garden", ""},
		{"/docker/buildkit/x1y2z3x1y2z3x1y2z3x1y2z31", "x1y2z3x1y2z3x1y2z3x1y2z31", "buildkit", ""},
		{"/ecs/0123456789abcdef0123456789abcdef/" + hexA, hexA, "ecs", ""},
		{"/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-123456", "0123456789abcdef0123456789abcdef-123456", "ecs", ""},
		{"/mesos/" + uid, uid, "mesos", ""},
		{"/../../docker-" + hexA + ".scope", hexA, "docker", ""},
		{"docker-" + hexA + ".scope", hexA, "docker", ""},
	} {
		want := event.Cgroup{ID: 3, Path: c.path, FullID: c.id, ContainerID: c.id, Runtime: c.runtime, PodUID: c.pod}
		if len(c.id) == idLen {
			want.ContainerID = c.id[:shortIDLen]
		}
		if got := *ParseCgroup(3, c.path); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.path, got, want)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add("/docker/" + hexA)
	f.Add("/kubepods.slice/kubepods-burstable-pod" + uid + ".slice/cri-containerd-" + hexA + ".scope")
	f.Add("/a:b:" + hexB)
	f.Add(`/machine.slice/machine-a\x2\x2d.scope`)
	f.Add("/ecs//x/lxc/lxc.payload./:")
	f.Fuzz(func(t *testing.T, path string) {
		c := ParseCgroup(1, path)
		if c.Path != path || c.ID != 1 {
			t.Fatalf("%q became %+v", path, c)
		}
		if (c.ContainerID == "") != (c.FullID == "") || !strings.HasPrefix(c.FullID, c.ContainerID) {
			t.Fatalf("%q: short %q, full %q", path, c.ContainerID, c.FullID)
		}
		if c.FullID == "" && c.Runtime != "" {
			t.Fatalf("%q: a runtime without a container: %+v", path, c)
		}
		if c.PodUID != "" && !isUID(c.PodUID) {
			t.Fatalf("%q: pod %q", path, c.PodUID)
		}
	})
}
