package fileio

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sources lists what trace io has what it shows from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of trace io: %w", err)
	}
	sources := kernel.SourcesOf(spec, nil)
	note := overlayNote(btf.NewCache())
	sources = append(sources, kernel.Source{Kind: kernel.Other, Name: "types of overlay", There: note == "", Optional: true, Lacks: "files that are copied into overlays"})
	return []kernel.Observer{{Name: "trace io", Sources: sources}}, nil
}
