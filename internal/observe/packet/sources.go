package packet

import (
	"fmt"
	"maps"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/drop"
)

// Sources lists what trace packet has what it shows from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of trace packet: %w", err)
	}
	lacking := maps.Clone(missing)
	lacking[owners] = drop.NoOwners
	sources := kernel.SourcesOf(spec, lacking)
	return []kernel.Observer{{Name: "trace packet", Sources: sources}}, nil
}
