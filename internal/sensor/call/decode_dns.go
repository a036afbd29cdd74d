package call

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/dns"
	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds of what the decoder remembers of DNS.
const (
	pendingQueries = 4096
	tcpHeads       = 1024
)

// dnsDecoder reads messages and joins answers to their queries.
type dnsDecoder struct {
	pending *dns.Pending
	// heads keeps the two bytes of length that some resolvers read by
	// themselves before a message over TCP, by the socket.
	heads map[uint64][2]byte
}

func newDNSDecoder() dnsDecoder {
	return dnsDecoder{pending: dns.NewPending(pendingQueries), heads: map[uint64][2]byte{}}
}

// decode fills in c.DNS. It reports false for a piece of a message that tells
// nothing by itself. What is no message becomes an event without a name: that
// something else speaks on a name server's port is worth knowing.
func (d *dnsDecoder) decode(h *progBcCall, c *event.Call, p *parts, rec *event.TaskRecord) (bool, error) {
	info := &event.DNSInfo{TCP: h.Flags&flagStream != 0, Response: h.Flags&flagIn != 0}
	c.DNS = info
	var m dns.Message
	var err error
	if info.TCP {
		data := p.data
		sock := uint64(0)
		if c.FD != nil {
			sock = c.FD.Inode()
		}
		if head, ok := d.heads[sock]; ok {
			data = append(head[:], data...)
			delete(d.heads, sock)
		}
		if len(data) == 2 {
			if len(d.heads) >= tcpHeads {
				clear(d.heads)
			}
			d.heads[sock] = [2]byte(data)
			return false, nil
		}
		var all []dns.Message
		if all, err = dns.ParseTCP(data); len(all) > 0 {
			m = all[0]
		}
	} else {
		m, err = dns.Parse(p.data)
	}
	if err != nil && len(m.Question) == 0 {
		info.Cut = true
		return true, nil
	}
	info.ID, info.Response, info.Cut = m.ID, m.Response, m.Cut || p.dataCut
	if len(m.Question) > 0 {
		info.Name, info.Type = m.Question[0].Name, dns.TypeName(m.Question[0].Type)
	}
	key := dns.Key{Pid: rec.Key.Pid, ID: m.ID, Name: info.Name}
	if len(m.Question) > 0 {
		key.Type = m.Question[0].Type
	}
	if c.FD != nil && c.FD.Sock != nil {
		key.LocalPort = c.FD.Sock.LocalPort
	}
	if !m.Response {
		d.pending.Query(key, rec.Boot)
		return true, nil
	}
	info.Rcode = dns.RcodeName(m.Rcode)
	var latency time.Duration
	if latency, _ = d.pending.Answer(key, rec.Boot); latency > 0 {
		info.Latency = latency
	}
	for _, a := range m.Answers {
		info.Answers = append(info.Answers, event.DNSAnswer{Name: a.Name, Type: dns.TypeName(a.Type), Data: a.Data, TTL: a.TTL})
	}
	return true, nil
}
