package task

import (
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sources lists what trace task has what it shows from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of trace task: %w", err)
	}
	sources := kernel.SourcesOf(spec, nil)
	return []kernel.Observer{{Name: "trace task", Sources: sources}}, nil
}
