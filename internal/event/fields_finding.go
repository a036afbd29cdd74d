package event

// findingFields are about what a check of the host found.
func findingFields() []Field {
	of := TypesOf(Finding)
	field := func(name, doc string, get func(*FindingInfo) string) Field {
		return Field{Name: "bc.finding." + name, Events: of, Doc: doc, src: source{str: func(ev *Event, _ *Ref) (string, bool) {
			if ev.Type != Finding || ev.FindingInfo == nil {
				return "", false
			}
			return nonEmpty(get(ev.FindingInfo))
		}}}
	}
	return []Field{
		field("check", "check that found it, such as hidden-module: bearcat scan --list names all", func(i *FindingInfo) string { return i.Check }),
		field("what", "what was found, as a sentence", func(i *FindingInfo) string { return i.What }),
		field("evidence", "by what it was found", func(i *FindingInfo) string { return i.Evidence }),
		field("sure", "how certain it is: certain, likely or possible", func(i *FindingInfo) string { return i.Sure }),
		field("path", "file, function or table of the kernel that it is about", func(i *FindingInfo) string { return i.Path }),
		field("after", "call after which the check was made at once; absent where it was made at its time", func(i *FindingInfo) string { return i.After }),
	}
}
