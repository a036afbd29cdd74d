package explain

import (
	"net/netip"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/model"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// Logged is a record of the log for people and for JSON.
type Logged struct {
	Time        time.Time `json:"time"`
	What        string    `json:"what"` // drop or ban
	Reason      string    `json:"reason,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	Device      string    `json:"device,omitempty"`
	Out         bool      `json:"out,omitempty"` // it was to leave
	Source      string    `json:"source,omitempty"`
	Destination string    `json:"destination,omitempty"`
	Protocol    uint8     `json:"protocol,omitempty"`
	Length      uint32    `json:"length,omitempty"`
	For         string    `json:"for,omitempty"` // of a ban
	Strikes     uint32    `json:"strikes,omitempty"`
	Unsaid      uint64    `json:"unsaid,omitempty"` // drops before it that the rate left out
}

// Record describes a record of the log. device names a device by its index.
func Record(rec *xdp.Logged, device func(uint32) string) *Logged {
	x := &Logged{Time: rec.Time, What: "drop", Rule: rec.Rule, Out: rec.Out, Length: rec.Length, Strikes: rec.Strikes, Unsaid: rec.Unsaid}
	if rec.Ban > 0 {
		x.What, x.For, x.Source = "ban", rec.Ban.String(), Short(rec.Source)
		return x
	}
	x.Reason, x.Device = rec.Reason.String(), device(rec.Device)
	frame, _ := model.Read(rec.Frame)
	if frame.Src.IsValid() {
		x.Source, x.Destination, x.Protocol = frame.Src.String(), frame.Dst.String(), frame.Protocol
		if frame.HasPorts {
			x.Source = netip.AddrPortFrom(frame.Src, frame.SrcPort).String()
			x.Destination = netip.AddrPortFrom(frame.Dst, frame.DstPort).String()
		}
	}
	return x
}

// Why says why a frame was dropped.
func (x *Logged) Why() string {
	if x.Rule != "" && x.Reason == firewall.ByRule.String() {
		return "dropped by rule " + x.Rule
	}
	return "dropped: " + x.Reason
}

// Short writes a prefix without the length where it is one address.
func Short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Judged is what would become of a frame.
type Judged struct {
	Frame   int      `json:"frame"`
	Verdict string   `json:"verdict"`
	Reason  string   `json:"reason"`
	Rule    string   `json:"rule,omitempty"`
	Would   []string `json:"would_drop,omitempty"`
}

// Judge judges frames from a device by the model that the kernel's program is tested
// against, all of them at one moment.
type Judge struct {
	Frames []Judged
	device uint32
	model  *model.Model
}

// NewJudge begins with no frame. established takes frames for those that a socket
// expects, out for those that go out.
func NewJudge(policy *firewall.Policy, device uint32, established, out bool) *Judge {
	m := model.New(policy, model.Lists{})
	m.Established = func(*model.Frame) bool { return established }
	m.Out = out
	return &Judge{Frames: []Judged{}, device: device, model: m}
}

// Frame judges one more.
func (j *Judge) Frame(b []byte) error {
	v := j.model.Judge(b, j.device, time.Hour)
	verdict := "pass"
	if v.Drop {
		verdict = "drop"
	}
	j.Frames = append(j.Frames, Judged{len(j.Frames) + 1, verdict, v.Reason.String(), v.Rule, v.Would})
	return nil
}
