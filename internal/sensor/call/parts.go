package call

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor"
)

// eventParts are what most calls are made of. With Options.Reuse they serve one
// event after the other, so that none costs an allocation; nil gives new ones.
type eventParts struct {
	call    event.Call
	fds     [2]event.FD
	refs    [2]event.FileRef
	sockets [3]event.Socket // of two descriptors and an address
	state   event.TCPInfo

	nfd, nsocket int
}

// begin gives the call of another event.
func (p *eventParts) begin() *event.Call {
	if p == nil {
		return new(event.Call)
	}
	p.call = event.Call{}
	p.nfd, p.nsocket = 0, 0
	return &p.call
}

func (p *eventParts) fd() *event.FD {
	if p == nil || p.nfd == len(p.fds) { // a record may have more than it should
		return new(event.FD)
	}
	p.nfd++
	f := &p.fds[p.nfd-1]
	*f = event.FD{}
	return f
}

func (p *eventParts) socket() *event.Socket {
	if p == nil || p.nsocket == len(p.sockets) {
		return new(event.Socket)
	}
	p.nsocket++
	s := &p.sockets[p.nsocket-1]
	*s = event.Socket{}
	return s
}

func (p *eventParts) ref(i int) *event.FileRef {
	if p == nil {
		return new(event.FileRef)
	}
	p.refs[i] = event.FileRef{}
	return &p.refs[i]
}

func (p *eventParts) tcp(h *progBcCall) *event.TCPInfo {
	var info *event.TCPInfo
	if p == nil {
		info = new(event.TCPInfo)
	} else {
		info = &p.state
	}
	*info = event.TCPInfo{
		Old: sensor.TCPState(uint16(h.Args[0])), New: sensor.TCPState(uint16(h.Args[1])),
		Sent: h.Args[2], Received: h.Args[3], Duration: time.Duration(h.Args[4]),
	}
	return info
}
