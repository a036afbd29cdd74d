package agent

import (
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/dns"
	"github.com/bearcat-hids/bearcat/internal/event"
)

// maxNames bounds the addresses whose names are remembered.
const maxNames = 16384

// names remembers what answers of the domain name system said, and gives the
// addresses of later connections their names. It belongs to the pipeline.
type names struct{ cache *dns.Cache }

func newNames() *names { return &names{dns.NewCache(maxNames)} }

// apply learns from an answer, or names the addresses of a call.
func (n *names) apply(ev *event.Event) {
	c := ev.Call
	if c == nil {
		return
	}
	if d := c.DNS; d != nil {
		if d.Response && d.Rcode == "NOERROR" {
			n.learn(d, ev.Time)
		}
		return
	}
	n.give(c.Addr, ev.Time)
	if c.FD != nil {
		n.give(c.FD.Sock, ev.Time)
	}
}

func (n *names) learn(d *event.DNSInfo, now time.Time) {
	for _, a := range d.Answers {
		if a.Type != "A" && a.Type != "AAAA" {
			continue
		}
		if ip, err := netip.ParseAddr(a.Data); err == nil {
			n.cache.Put(ip, d.Name, time.Duration(a.TTL)*time.Second, now)
		}
	}
}

func (n *names) give(s *event.Socket, now time.Time) {
	if s == nil || s.Remote == "" || s.RemotePort == 0 && s.Proto == "" {
		return
	}
	if ip, err := netip.ParseAddr(s.Remote); err == nil {
		s.RemoteName, _ = n.cache.Name(ip, now)
	}
}
