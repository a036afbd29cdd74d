package flame

import (
	"bufio"
	_ "embed"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The drawing's measures, in pixels.
const (
	svgWidth  = 1200
	svgMargin = 10
	svgRow    = 17
	svgTop    = 60
	svgBottom = 40
	svgChar   = 7.0 // of a letter
	svgLeast  = 0.1 // narrower frames are left out
)

//go:embed flame.js
var script string

// node is a frame in the tree of all stacks.
type node struct {
	frame    Frame
	weight   uint64
	children map[Frame]*node
}

// tree joins the stacks by what they have in common from the outside.
func (r *Result) tree() *node {
	root := &node{frame: Frame{Name: "all"}, children: map[Frame]*node{}}
	for _, s := range r.Stacks {
		n := root
		n.weight += s.Weight
		for _, f := range append([]Frame{{Name: s.Comm, File: "process"}}, s.Frames...) {
			next := n.children[f]
			if next == nil {
				next = &node{frame: f, children: map[Frame]*node{}}
				n.children[f] = next
			}
			n = next
			n.weight += s.Weight
		}
	}
	return root
}

// height is how many rows the part of the tree has that is wide enough to be drawn.
func (n *node) height(perWeight float64) int {
	most := 0
	for _, c := range n.children {
		if float64(c.weight)*perWeight >= svgLeast {
			most = max(most, c.height(perWeight))
		}
	}
	return most + 1
}

// WriteSVG draws a flame graph that holds its own script: a click on a frame shows it
// and what is above it, and what is typed into the search is marked.
func (r *Result) WriteSVG(w io.Writer, title string) error {
	root := r.tree()
	perWeight := 0.0
	if root.weight > 0 {
		perWeight = (svgWidth - 2*svgMargin) / float64(root.weight)
	}
	rows := root.height(perWeight)
	height := svgTop + rows*svgRow + svgBottom
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="12">
<style>rect{stroke:#fff;stroke-width:.5}g.f{cursor:pointer}g.f:hover rect{stroke:#000}text{pointer-events:none}.b{cursor:pointer;fill:#06c;pointer-events:all}.found rect{fill:#e4f}.dim{opacity:.45}</style>
<rect width="100%%" height="100%%" fill="#fffdf7"/>
<text x="%d" y="24" font-size="17" text-anchor="middle">%s</text>
<text class="b" id="reset" x="%d" y="24" visibility="hidden">show all</text>
<text class="b" id="search" x="%d" y="24" text-anchor="end">search</text>
<text id="detail" x="%d" y="%d">%s</text>
<text id="matched" x="%d" y="%d" text-anchor="end"></text>
`, svgWidth, height, svgWidth, height, svgWidth/2, escaped(title), svgMargin, svgWidth-svgMargin,
		svgMargin, height-14, escaped(r.summary()), svgWidth-svgMargin, height-14)
	d := drawing{b, perWeight, float64(svgTop + (rows-1)*svgRow), root.weight, r.Unit}
	d.draw(root, 0, 0)
	fmt.Fprintf(b, "<script><![CDATA[\n%s]]></script>\n</svg>\n", script)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing the graph: %w", err)
	}
	return nil
}

func (r *Result) summary() string {
	if r.Samples == 0 {
		return "nothing came in that time"
	}
	return fmt.Sprintf("%d %s in %.1f s", r.Total, r.Unit, r.Took)
}

type drawing struct {
	w         *bufio.Writer
	perWeight float64
	ground    float64 // where the row of the root is
	total     uint64
	unit      string
}

// draw draws a frame, and its children from left to right by name, so that two graphs
// can be compared.
func (d *drawing) draw(n *node, before uint64, depth int) {
	x, width := float64(before)*d.perWeight, float64(n.weight)*d.perWeight
	if width < svgLeast && depth > 0 {
		return
	}
	name := clean(n.frame.Name)
	label := name
	if n.frame.File != "" {
		label += " (" + clean(n.frame.File) + ")"
	}
	share := 0.0
	if d.total > 0 {
		share = 100 * float64(n.weight) / float64(d.total)
	}
	y := d.ground - float64(depth*svgRow)
	fmt.Fprintf(d.w, `<g class="f" data-x="%.3f" data-w="%.3f" data-n="%s"><title>%s: %d %s, %.2f%%</title><rect x="%.2f" y="%.0f" width="%.2f" height="%d" rx="1" fill="%s"/><text x="%.2f" y="%.0f">%s</text></g>`+"\n",
		x, width, escaped(name), escaped(label), n.weight, d.unit, share, x+svgMargin, y, width, svgRow-1, color(n.frame, depth), x+svgMargin+3, y+12, escaped(fitting(name, width)))
	children := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		children = append(children, c)
	}
	slices.SortFunc(children, func(a, b *node) int { return compareFrames(a.frame, b.frame) })
	for _, c := range children {
		d.draw(c, before, depth+1)
		before += c.weight
	}
}

// fitting cuts a name to a width; flame.js does the same after a click.
func fitting(name string, width float64) string {
	room := int((width - 6) / svgChar)
	text := []rune(name)
	switch {
	case room >= len(text):
		return name
	case room < 3:
		return ""
	}
	return string(text[:room-2]) + ".."
}

// color is warm for a program's frames and cold for the kernel's; the shade depends on
// the name, so that a function looks the same everywhere.
func color(f Frame, depth int) string {
	sum := uint32(2166136261)
	for _, c := range []byte(f.Name) {
		sum = (sum ^ uint32(c)) * 16777619
	}
	shade := int(sum % 50)
	switch {
	case depth == 0 || f.File == "process":
		return fmt.Sprintf("rgb(%d,%d,%d)", 190+shade/2, 190+shade/2, 190+shade/2)
	case f.Kernel:
		return fmt.Sprintf("rgb(%d,%d,%d)", 110+shade, 170+shade, 225)
	}
	return fmt.Sprintf("rgb(%d,%d,%d)", 245, 130+2*shade, 60+shade)
}

func escaped(s string) string {
	var b strings.Builder
	if xml.EscapeText(&b, []byte(clean(s))) != nil {
		return "?"
	}
	return b.String()
}
