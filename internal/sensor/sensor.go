// Package sensor names what every sensor offers the agent. A sensor is one
// folder below this one: its kernel program, the decoder of its records, and
// its tests. It gives typed records; it knows neither the process table nor
// rules.
package sensor

import (
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// Sensor watches one part of what a host does.
type Sensor interface {
	// Name is the sensor's folder name.
	Name() string
	// Kinds are the kinds of records that Decode takes (enum bc_kind).
	Kinds() []uint8
	// Attach starts the flow of records into the transport's rings.
	Attach() error
	// Decode turns one record of a ring into rec. It reports false where the
	// record gives nothing to pass on by itself (a piece of a later one). An
	// error means the bytes are not a record of this sensor; it has been
	// counted.
	Decode(raw []byte, rec *event.TaskRecord) (bool, error)
	// Hooks describes the attached programs.
	Hooks() []kernel.HookStatus
	// Streams gives the kernel's own count of records, one entry for each
	// CPU and stream.
	Streams() ([]StreamCount, error)
	// Detach stops the flow and keeps the counts.
	Detach() error
	// Close detaches and releases everything.
	Close() error
}

// Kind returns the kind of a record, by which its sensor is found; 0 for what
// is too short to be one.
func Kind(raw []byte) uint8 {
	const at = 8 + 8 + 4 + 2 // in struct bc_hdr
	if len(raw) <= at {
		return 0
	}
	return raw[at]
}

// StreamCount is the kernel's count of one numbered series of records.
type StreamCount struct {
	CPU    uint16
	Stream uint8
	// Type is the event type that the stream's records tell of, Class its
	// ring.
	Type  event.Type
	Class event.Class
	// Produced were numbered; of these, Lost found no room in the ring.
	// Runs is how often the program ran, Filtered how often what it saw was
	// out of scope.
	Produced, Lost, Runs, Filtered uint64
}
