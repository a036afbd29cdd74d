package drop

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// NoOwners is what is not told where the kernel's open files cannot be listed.
const NoOwners = "whose the sockets are that were there before"

// Sources lists what drops has what it shows from.
func Sources() ([]kernel.Observer, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, fmt.Errorf("reading the programs of drops: %w", err)
	}
	sources := kernel.SourcesOf(spec, map[string]string{"owner_list": NoOwners, "owner_full": "whose socket was full, where the drop does not name it"})
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	n := kernel.TracepointArguments(types, "kfree_skb") // packet, place, reason, socket
	sources = append(sources,
		kernel.Source{Kind: kernel.Argument, Name: "kfree_skb reason", There: n >= 3, Optional: true, Lacks: "reasons: the place has to tell (Linux 5.17 and later have them)"},
		kernel.Source{Kind: kernel.Argument, Name: "kfree_skb socket", There: n >= 4, Optional: true, Lacks: "the socket of some drops (Linux 6.11 and later name it)"})
	return []kernel.Observer{{Name: "drops", Sources: sources}}, nil
}
