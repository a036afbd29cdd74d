package drop

import "testing"

func TestBalance(t *testing.T) {
	r := Result{
		Rows: []Row{
			{Packets: 78, Reason: "SOCKET_RCVBUFF", Proto: "udp"},
			{Packets: 120, Reason: "NO_SOCKET", Proto: "udp"},
			{Packets: 7, Reason: "NO_SOCKET", Proto: "udp", v6: true},
			{Packets: 5, Reason: "TCP_RESET", Proto: "tcp"},
			{Packets: 4, Place: "udp_queue_rcv_one_skb+0x5", Proto: "udp"},
		},
		Counters: []Counter{
			{Name: "Ip.OutNoRoutes", Rose: 3}, {Name: "Udp.InErrors", Rose: 82}, {Name: "Udp.NoPorts", Rose: 120},
			{Name: "Udp.RcvbufErrors", Rose: 82}, {Name: "Udp6NoPorts", Rose: 9},
		},
	}
	r.balance()
	if want := (Balance{Events: 209, Counters: 214, Unexplained: 5, Uncounted: 5}); r.Balance != want {
		t.Errorf("the balance is %+v, want %+v", r.Balance, want)
	}
	for _, c := range r.Counters {
		want := map[string]uint64{"Udp.NoPorts": 120, "Udp.RcvbufErrors": 82, "Udp6NoPorts": 7}[c.Name]
		if c.Explained != want {
			t.Errorf("%s: %d are explained, want %d", c.Name, c.Explained, want)
		}
	}
	r.AddFirewall("rule x", 9, 900)
	r.AddFirewall("rule y", 0, 0)
	if r.Firewall != 9 || len(r.Rows) != 6 || r.Rows[2].Place != "rule x" && r.Rows[1].Place != "rule x" && r.Rows[3].Place != "rule x" {
		t.Errorf("with the firewall's: %+v", r.Rows)
	}
}
