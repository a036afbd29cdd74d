package main

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func TestTaskFlagsHold(t *testing.T) {
	inside := &event.Process{Key: event.Key{Pid: 7}, Cgroup: &event.Cgroup{Path: "/docker/abc/inner"}, NS: &event.Namespaces{Net: 5}}
	beside := &event.Process{Key: event.Key{Pid: 8}, Cgroup: &event.Cgroup{Path: "/docker/abcd"}}
	bare := &event.Process{Key: event.Key{Pid: 9}}
	for _, c := range []struct {
		f    taskFlags
		want [3]bool
	}{
		{taskFlags{}, [3]bool{true, true, true}},
		{taskFlags{cgroup: "/docker/abc"}, [3]bool{true, false, false}},
		{taskFlags{cgroup: "/docker/abcd"}, [3]bool{false, true, false}},
		{taskFlags{netns: 5}, [3]bool{true, false, false}},
		{taskFlags{netns: 6}, [3]bool{}},
		{taskFlags{pid: 9}, [3]bool{false, false, true}},
	} {
		if got := [3]bool{c.f.holds(inside), c.f.holds(beside), c.f.holds(bare)}; got != c.want {
			t.Errorf("%+v holds %v, want %v", c.f, got, c.want)
		}
	}
	if err := (&taskFlags{container: "x/y"}).resolve(); err == nil {
		t.Error("a path is taken for a container")
	}
}
