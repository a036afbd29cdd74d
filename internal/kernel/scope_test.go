package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestContainersByName(t *testing.T) {
	const docker, containerd, podman, crio = "3f9a1c77be02", "3f9b2222be02", "d0c4e5f6a7b8", "f1f2f3f4f5f6"
	root := t.TempDir()
	groups := map[string]string{
		docker:     "system.slice/docker-" + docker + ".scope",
		containerd: "kubepods.slice/kubepods-pod3f9a1c77_be02.slice/cri-containerd-" + containerd + ".scope",
		podman:     "machine.slice/libpod-" + podman + ".scope",
		crio:       "kubepods.slice/kubepods-podaa.slice/crio-" + crio + ".scope",
	}
	for _, g := range []string{
		groups[docker] + "/init.scope", groups[containerd], groups[podman] + "/container", groups[crio],
		"machine.slice/libpod-conmon-" + podman + ".scope", "kubepods.slice/kubepods-podaa.slice/crio-conmon-" + crio + ".scope",
		"docker/abcd9999", "docker/abcd99990000",
	} {
		if err := os.MkdirAll(filepath.Join(root, g), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	groups["abcd9999"] = "docker/abcd9999" // whole, and how another begins
	look := func(id string) (string, error) {
		dirs, err := containersIn(root, id)
		if err != nil {
			t.Fatal(err)
		}
		return oneContainer(id, dirs)
	}
	for id, want := range groups {
		for _, asked := range []string{id, id[:min(len(id), 8)]} {
			if got, err := look(asked); err != nil || got != filepath.Join(root, want) {
				t.Errorf("%s: %s, want %s (%v)", asked, got, want, err)
			}
		}
	}
	for _, id := range []string{"be02", "9a1c77", "beef", "conm"} { // in the middle of ids, or nowhere
		if got, err := look(id); got != "" || err != nil {
			t.Errorf("%s is taken for %s (%v)", id, got, err)
		}
	}
	if _, err := look("3f9"); err == nil || !strings.Contains(err.Error(), docker+", "+containerd) {
		t.Errorf("of two that begin alike: %v", err)
	}
}
