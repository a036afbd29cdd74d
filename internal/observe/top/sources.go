package top

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sources lists what each view has its figures from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of top: %w", err)
	}
	var out []kernel.Observer
	for _, v := range Views() {
		some := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}}
		for _, name := range v.programs {
			some.Programs[name] = spec.Programs[name]
		}
		for name := range v.optional {
			some.Programs[name] = spec.Programs[name]
		}
		o := kernel.Observer{Name: "top " + v.Name, Sources: kernel.SourcesOf(some, v.optional)}
		switch v.Name {
		case "bpf":
			stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
			if err == nil {
				_ = stats.Close()
			}
			o.Sources = []kernel.Source{{Kind: kernel.Other, Name: "counting of programs", There: err == nil, Optional: true, Lacks: "what programs cost, unless the sysctl kernel.bpf_stats_enabled is 1"}}
		case "cgroup":
			o.Sources = []kernel.Source{{Kind: kernel.Other, Name: "file system of control groups", There: len(kernel.CgroupMounts()) > 0}}
		}
		out = append(out, o)
	}
	return out, nil
}
