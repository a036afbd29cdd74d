package firewall

// Reason says why a frame had its verdict.
type Reason uint8

// The reasons, numbered as in xdp/fw.h. ShortEth and what follows are malformed.
const (
	ByDefault Reason = iota
	ByRule
	ByAllow
	ByBlock
	ByBan
	ARP
	ND
	Unparsed
	Monitored
	EngineFailed
	ShortEth
	ShortTag
	ManyTags
	ShortIP4
	BadIP4
	ShortIP6
	BadIP6
	ShortExt
	ManyExt
	TinyFragment
	ShortL4
	BadTCP
	BadUDP
	ShortPPPoE
	Reasons // how many there are
)

func (r Reason) String() string {
	names := [...]string{
		"default", "rule", "allow", "block", "ban", "arp", "neighbour discovery", "unparsed", "monitor", "engine failed",
		"short ethernet", "short vlan tag", "too many vlan tags", "short ipv4", "bad ipv4 header", "short ipv6",
		"bad ipv6 header", "short extension header", "too many extension headers", "tiny fragment", "short layer 4",
		"bad tcp header", "bad udp length", "short pppoe",
	}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Malformed says whether it is one of the malformations.
func (r Reason) Malformed() bool { return r >= ShortEth && r < Reasons }
