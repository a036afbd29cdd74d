package connection

import (
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

// Sources lists what trace tcp has what it shows from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of trace tcp: %w", err)
	}
	sources := kernel.SourcesOf(spec, map[string]string{owners: drop.NoOwners})
	return []kernel.Observer{{Name: "trace tcp", Sources: sources}}, nil
}
