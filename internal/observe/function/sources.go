package function

import (
	"os"
	"slices"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sources lists what trace func has its calls from.
func Sources() ([]kernel.Observer, error) {
	t := &Tracer{}
	defer func() { _ = t.Close() }()
	var tracers []string
	if root, err := t.tracefs(); err == nil {
		if b, err := os.ReadFile(root + "/available_tracers"); err == nil {
			tracers = strings.Fields(string(b))
		}
	}
	return []kernel.Observer{{Name: "trace func", Sources: []kernel.Source{
		{Kind: kernel.Tracer, Name: "function", There: slices.Contains(tracers, "function")},
		{Kind: kernel.Tracer, Name: "function_graph", There: slices.Contains(tracers, "function_graph"), Optional: true, Lacks: "how long calls take"},
	}}}, nil
}
