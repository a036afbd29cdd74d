package event

// firewallFields are about what the firewall did.
func firewallFields() []Field {
	of := TypesOf(Firewall)
	text := func(get func(*FirewallInfo) string) source {
		return source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Type != Firewall || ev.FirewallInfo == nil {
				return "", false
			}
			return nonEmpty(get(ev.FirewallInfo))
		}}
	}
	number := func(kind string, get func(*FirewallInfo) int64) source {
		return source{num: func(ev *Event, _ *Ref) (int64, bool) {
			if ev.Type != Firewall || ev.FirewallInfo == nil || ev.FirewallInfo.Kind != kind {
				return 0, false
			}
			return get(ev.FirewallInfo), true
		}}
	}
	return []Field{
		{Name: "bc.firewall.kind", Events: of, Doc: "what the firewall did or saw: ban, flood or scan", src: text(func(i *FirewallInfo) string { return i.Kind })},
		{Name: "bc.firewall.rule", Events: of, Doc: "the rule or guard that banned, that drops most of a flood, or the last try of a scan", src: text(func(i *FirewallInfo) string { return i.Rule })},
		{Name: "bc.firewall.source", Events: of, Doc: "address or prefix that was banned, or that scans", src: text(func(i *FirewallInfo) string { return i.Source })},
		{Name: "bc.firewall.for", Type: FieldDuration, Events: of, Doc: "how long a ban lasts", src: number("ban", func(i *FirewallInfo) int64 { return int64(i.For) })},
		{Name: "bc.firewall.strikes", Type: FieldInt, Events: of, Doc: "bans of the same source before, one after the other", src: number("ban", func(i *FirewallInfo) int64 { return int64(i.Strikes) })},
		{Name: "bc.firewall.reason", Events: of, Doc: "for which reason most of a flood or the last try of a scan is dropped, as bearcat fw stats names them; refused where no socket waited", src: text(func(i *FirewallInfo) string { return i.Reason })},
		{Name: "bc.firewall.rate", Type: FieldUint, Events: of, Doc: "packets a second that are dropped in a flood", src: number("flood", func(i *FirewallInfo) int64 { return int64(i.Rate) })},
		{Name: "bc.firewall.ports", Type: FieldInt, Events: of, Doc: "ports that a scan tried, at least", src: number("scan", func(i *FirewallInfo) int64 { return int64(i.Ports) })},
		{Name: "bc.firewall.addresses", Type: FieldInt, Events: of, Doc: "addresses that a scan tried, at least", src: number("scan", func(i *FirewallInfo) int64 { return int64(i.Addresses) })},
	}
}
