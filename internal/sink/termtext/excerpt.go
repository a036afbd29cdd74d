package termtext

import "strings"

// Excerpt is what fits into some columns of a terminal of a line and of the carets that stand
// below it: the line around the first caret, with … where it goes on. Both come back as they
// are where they fit, or where there are hardly any columns.
func Excerpt(line, carets string, columns int) (text, marks string) {
	const least = 12
	at := strings.IndexByte(carets, '^')
	if columns < least || at < 0 || max(Width(line), Width(carets)) <= columns {
		return line, carets
	}
	runes := []rune(line)
	start := make([]int, len(runes)+1) // the column of each character, and the line's end
	for i, r := range runes {
		start[i+1] = start[i] + RuneWidth(r)
	}
	end := start[len(runes)]
	at = min(at, end)
	// A third of the columns is for what stands before, and more near the line's end.
	first, from := min(at-columns/3, max(end, at+1)-(columns-1)), 0
	for start[from] < first {
		from++
	}
	lead, tail, to, room := "", "", len(runes), columns
	if from > 0 {
		lead, room = "…", columns-1
	}
	if end-start[from] > room {
		tail = "…"
		for start[to]-start[from] > room-1 {
			to--
		}
	}
	at += columns - room - start[from]
	n := min(strings.Count(carets, "^"), columns-at)
	return lead + string(runes[from:to]) + tail, strings.Repeat(" ", at) + strings.Repeat("^", n)
}
