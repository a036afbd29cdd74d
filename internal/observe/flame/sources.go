package flame

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sources lists what each graph has its stacks from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for stacks: %w", err)
	}
	var out []kernel.Observer
	for _, k := range Kinds() {
		one := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{k.program: spec.Programs[k.program]}}
		out = append(out, kernel.Observer{Name: "flame " + k.Name, Sources: kernel.SourcesOf(one, nil)})
	}
	return out, nil
}
