package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxTests is how many comparisons a filter may come to: the kernel takes no more in
// one program with certainty.
const maxTests = 1000

// Parse compiles an expression; an empty one takes all packets. Errors are
// *SyntaxError.
func Parse(text string) (*Filter, error) {
	p := &parser{text: text}
	if err := p.lex(); err != nil {
		return nil, err
	}
	f := &Filter{text: text}
	if len(p.tokens) == 0 {
		return f, nil
	}
	var err error
	if f.root, err = p.expression(0); err != nil {
		return nil, err
	}
	if t, ok := p.peek(); ok {
		return nil, p.fail(t.at, "after a whole expression comes and, or, or nothing, not "+strconv.Quote(t.text))
	}
	if n := tests(f.root); n > maxTests {
		return nil, p.fail(0, fmt.Sprintf("it comes to %d comparisons, and %d are possible", n, maxTests))
	}
	return f, nil
}

func tests(n node) int {
	switch n := n.(type) {
	case and:
		return tests(n.l) + tests(n.r)
	case or:
		return tests(n.l) + tests(n.r)
	case not:
		return tests(n.x)
	}
	return 1
}

type token struct {
	text string
	at   int
}

type parser struct {
	text   string
	tokens []token
	next   int
	// the last qualifiers, for a value that comes without any: port 80 or 443
	last qualifiers
}

// qualifiers say what a value is.
type qualifiers struct{ proto, dir, kind string }

func (p *parser) fail(at int, why string) error { return &SyntaxError{p.text, at, why} }

// lex splits the text into words, signs, and what stands in square brackets.
func (p *parser) lex() error {
	for i := 0; i < len(p.text); {
		c := p.text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case c == '[':
			end := strings.IndexByte(p.text[i:], ']')
			if end < 0 {
				return p.fail(i, "a ] is missing")
			}
			p.tokens = append(p.tokens, token{p.text[i : i+end+1], i})
			i += end + 1
		case wordByte(c):
			j := i
			for j < len(p.text) && wordByte(p.text[j]) {
				j++
			}
			p.tokens = append(p.tokens, token{p.text[i:j], i})
			i = j
		default:
			n := 1
			if i+1 < len(p.text) && slices.Contains([]string{"&&", "||", "==", "!=", "<=", ">="}, p.text[i:i+2]) {
				n = 2
			}
			if !strings.ContainsRune("()!&|=<>", rune(c)) {
				return p.fail(i, fmt.Sprintf("%q has no meaning here", p.text[i:i+1]))
			}
			p.tokens = append(p.tokens, token{p.text[i : i+n], i})
			i += n
		}
	}
	return nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:/-\\", c) >= 0
}

func (p *parser) peek() (token, bool) {
	if p.next == len(p.tokens) {
		return token{at: len(p.text)}, false
	}
	return p.tokens[p.next], true
}

// is takes the next token where it is one of these.
func (p *parser) is(texts ...string) bool {
	t, ok := p.peek()
	if ok && slices.Contains(texts, t.text) {
		p.next++
		return true
	}
	return false
}

// maxDepth is of brackets and negations.
const maxDepth = 100

// expression reads terms. And and or bind alike, from left to right, as in tcpdump.
func (p *parser) expression(depth int) (node, error) {
	left, err := p.term(depth)
	for err == nil {
		isOr := false
		switch {
		case p.is("and", "&&"):
		case p.is("or", "||"):
			isOr = true
		default:
			return left, nil
		}
		var right node
		if right, err = p.term(depth); err != nil {
			break
		}
		if isOr {
			left = or{left, right}
		} else {
			left = and{left, right}
		}
	}
	return nil, err
}

func (p *parser) term(depth int) (node, error) {
	t, ok := p.peek()
	if depth > maxDepth {
		return nil, p.fail(t.at, "it is nested too deeply")
	}
	switch {
	case !ok:
		return nil, p.fail(t.at, "it ends where a condition is expected")
	case p.is("not", "!"):
		x, err := p.term(depth + 1)
		return not{x}, err
	case p.is("("):
		x, err := p.expression(depth + 1)
		if err == nil && !p.is(")") {
			t, _ = p.peek()
			err = p.fail(t.at, "a ) is missing")
		}
		return x, err
	}
	return p.primitive()
}

// primitive reads qualifiers and a value, or a protocol, or a comparison.
func (p *parser) primitive() (node, error) {
	first, _ := p.peek()
	q := qualifiers{}
	qualified := false
	for {
		t, ok := p.peek()
		switch {
		case ok && q.proto == "" && q.dir == "" && q.kind == "" && isProto(t.text):
			p.next++
			q.proto = t.text
			if b, ok := p.peek(); ok && b.text[0] == '[' {
				return p.bytes(q.proto, t)
			}
		case ok && q.dir == "" && q.kind == "" && (t.text == "src" || t.text == "dst"):
			p.next++
			q.dir = t.text
			other := map[string]string{"src": "dst", "dst": "src"}[t.text]
			if p.next+1 < len(p.tokens) && p.tokens[p.next+1].text == other {
				if word := p.tokens[p.next].text; word == "or" || word == "and" {
					q.dir = "src " + word + " dst"
					p.next += 2
				}
			}
		case ok && q.kind == "" && slices.Contains([]string{"host", "net", "port", "portrange", "proto"}, t.text):
			p.next++
			q.kind = t.text
		default:
			if !ok || !isValue(t.text) {
				if q.proto != "" && q.dir == "" && q.kind == "" {
					return protocols[q.proto](), nil
				}
				if qualified && ok && wordByte(t.text[0]) && !slices.Contains([]string{"and", "or", "not"}, t.text) {
					return p.value(q, t) // which says what is wrong with it
				}
				if qualified {
					return nil, p.fail(t.at, "a value is expected here")
				}
				return p.other(first)
			}
			if !qualified {
				q = p.last
			}
			return p.value(q, t)
		}
		qualified = true
	}
}

// isValue is whether a word is an address or a number.
func isValue(s string) bool {
	return s[0] >= '0' && s[0] <= '9' || strings.ContainsRune(s, ':') && s[0] != '[' || s[0] == '\\' || portNumber(s) != 0 || knownProto(s) != 0
}

var protocols = map[string]func() node{
	"ip":    func() node { return family(familyIPv4) },
	"ip6":   func() node { return family(familyIPv6) },
	"arp":   func() node { return family(familyARP) },
	"tcp":   func() node { return transport(protoTCP) },
	"udp":   func() node { return transport(protoUDP) },
	"sctp":  func() node { return transport(protoSCTP) },
	"icmp":  func() node { return and{family(familyIPv4), proto(protoICMP)} },
	"icmp6": func() node { return and{family(familyIPv6), proto(protoICMP6)} },
}

func isProto(s string) bool { return protocols[s] != nil }

// other reads what has neither qualifiers nor a value.
func (p *parser) other(t token) (node, error) {
	switch {
	case p.is("inbound"):
		return field(headerSent, 0), nil
	case p.is("outbound"):
		return field(headerSent, 1), nil
	case p.is("less"):
		return p.length(lessEqual)
	case p.is("greater"):
		return p.length(greaterEqual)
	case p.is("len"):
		op, err := p.operator()
		if err != nil {
			return nil, err
		}
		return p.length(op)
	}
	if slices.Contains([]string{"ether", "vlan", "mpls", "broadcast", "multicast", "gateway", "wlan", "pppoed", "pppoes", "geneve", "ifname", "type", "link", "rarp", "iso"}, t.text) {
		return nil, p.fail(t.at, "Bearcat does not look at "+t.text+": it knows ip, ip6, arp, tcp, udp, sctp, icmp, icmp6, host, net, port, portrange, len and bytes such as tcp[13]")
	}
	return nil, p.fail(t.at, fmt.Sprintf("%q is no word of the language, and names of hosts are not looked up: give an address", t.text))
}

func (p *parser) length(op operator) (node, error) {
	n, err := p.number("a length in bytes")
	return compare{headerLength, 4, false, 0xffffffff, op, n}, err
}

func (p *parser) number(what string) (uint32, error) {
	t, ok := p.peek()
	n, err := strconv.ParseUint(t.text, 0, 32)
	if !ok || err != nil {
		return 0, p.fail(t.at, what+" is expected here")
	}
	p.next++
	return uint32(n), nil
}

func (p *parser) operator() (operator, error) {
	for i, texts := range [][]string{{"=", "=="}, {"!="}, {">"}, {"<"}, {">="}, {"<="}} {
		if p.is(texts...) {
			return operator(i), nil
		}
	}
	t, _ := p.peek()
	return 0, p.fail(t.at, "a comparison is expected here: = != < > <= >=")
}
