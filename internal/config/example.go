package config

import "strings"

// Example returns a configuration file that holds every setting with its
// default and an explanation. example.yaml is its text.
func Example() string {
	var b strings.Builder
	b.WriteString("# Configuration of bearcat. Every setting is shown with its default: keep only what you change.\n" +
		"# Sizes are written as 64KiB, 8MiB, 1GiB or a number of bytes, durations as 500ms, 30s or 5m.\n")
	c, docs := Default(), sections()
	section, sub := "", ""
	for _, s := range settings() {
		parts := strings.Split(s.path, ".")
		indent := strings.Repeat("  ", len(parts)-1)
		if parts[0] != section {
			section, sub = parts[0], ""
			b.WriteByte('\n')
			for _, d := range docs {
				if d[0] == section {
					b.WriteString("# " + d[1] + "\n" + section + ":\n")
				}
			}
		}
		if len(parts) == 3 && parts[1] != sub {
			sub = parts[1]
			b.WriteString("  " + sub + ":\n")
		}
		for line := range strings.SplitSeq(s.doc, "\n") {
			b.WriteString(indent + "# " + line + "\n")
		}
		b.WriteString(indent + parts[len(parts)-1] + ": " + s.text(c) + "\n")
	}
	return b.String()
}
