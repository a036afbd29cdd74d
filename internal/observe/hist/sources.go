package hist

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sources lists what each histogram has its times from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs for histograms: %w", err)
	}
	var out []kernel.Observer
	for _, k := range append(Kinds(), Kind{Name: FunctionPrefix + "NAME", function: "of any name"}) {
		o := kernel.Observer{Name: "hist " + k.Name, Sources: []kernel.Source{{Kind: kernel.Function, Name: k.function}}}
		if k.function == "" {
			some := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}}
			for _, name := range k.programs {
				some.Programs[name] = spec.Programs[name]
			}
			o.Sources = kernel.SourcesOf(some, nil)
		}
		out = append(out, o)
	}
	return out, nil
}
