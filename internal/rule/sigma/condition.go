package sigma

import (
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// The limits of a condition.
const (
	maxDepth     = 64
	maxCondition = 64 << 10
	// maxChoices bounds what "3 of x*" stands for: each choice of three.
	maxChoices = 1000
)

// conditions compiles a condition, or a list of which one has to hold.
func (c *compiler) conditions(n *yaml.Node) ast.Expr {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var list []ast.Expr
	for _, n := range nodes {
		n = ruleyaml.Resolve(n)
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			c.d.errorf(ast.CodeValue, n, "condition must be text, not %s", ruleyaml.KindName(n))
			continue
		}
		if len(n.Value) > maxCondition {
			c.d.errorf(ast.CodeLimit, n, "the condition is longer than %d bytes", maxCondition)
			continue
		}
		p := &parser{c: c, node: n, text: ruleyaml.Scalar(c.d.src, n), s: n.Value}
		if e := p.parse(); e != nil {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		if !c.d.failed {
			c.d.errorf(ast.CodeValue, n, "condition is empty")
		}
		return nil
	}
	return or(ruleyaml.At(c.d.src, n), list...)
}

// parser reads a condition: or, and, not, parentheses, names of selections, and
// "1 of", "all of".
type parser struct {
	c     *compiler
	node  *yaml.Node
	text  *ast.Text
	s     string
	pos   int
	depth int
	// from and word are the token last looked at.
	from   int
	word   string
	failed bool
}

func (p *parser) span(from, to int) ast.Span { return ast.Span{Text: p.text, From: from, To: to} }

func (p *parser) fail(code ast.Code, from, to int, format string, args ...any) {
	if !p.failed { // what follows from the first is no help
		p.c.d.add(ast.NewDiag(ast.Error, code, p.span(from, max(to, from+1)), format, args...))
	}
	p.failed = true
}

// next moves to the next token; word is "" at the end.
func (p *parser) next() {
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
	p.from = p.pos
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n()|", p.s[p.pos]) < 0 {
		p.pos++
	}
	if p.pos == p.from && p.pos < len(p.s) {
		p.pos++
	}
	p.word = p.s[p.from:p.pos]
}

func (p *parser) is(word string) bool { return strings.EqualFold(p.word, word) }

func (p *parser) parse() ast.Expr {
	p.next()
	if p.word == "" {
		p.fail(ast.CodeSyntax, 0, 0, "the condition is empty")
		return nil
	}
	e := p.or()
	switch {
	case p.failed:
	case p.word == "|":
		rest := strings.TrimSpace(p.s[p.pos:])
		what, _, _ := strings.Cut(rest, " ")
		p.fail(ast.CodeUnsupported, p.from, len(p.s), "%q is an aggregation of old Sigma, which is not supported: write a correlation", "| "+what)
	case p.word != "":
		p.fail(ast.CodeSyntax, p.from, p.pos, `found %q where "and" or "or" was expected`, p.word)
	}
	if p.failed {
		return nil
	}
	return e
}

func (p *parser) or() ast.Expr {
	from := p.from
	list := []ast.Expr{p.and()}
	for !p.failed && p.is("or") {
		p.next()
		list = append(list, p.and())
	}
	return or(p.span(from, p.from), list...)
}

func (p *parser) and() ast.Expr {
	from := p.from
	list := []ast.Expr{p.not()}
	for !p.failed && p.is("and") {
		p.next()
		list = append(list, p.not())
	}
	return and(p.span(from, p.from), list...)
}

func (p *parser) not() ast.Expr {
	from, negate := p.from, false
	for p.is("not") {
		negate = !negate
		p.next()
	}
	e := p.term()
	if negate && e != nil {
		e = &ast.Not{X: e, At: p.span(from, p.from)}
	}
	return e
}

func (p *parser) term() ast.Expr {
	from, word := p.from, p.word
	switch {
	case word == "":
		p.fail(ast.CodeSyntax, max(0, len(strings.TrimRight(p.s, " \t\r\n"))-1), 0, "the condition ends where a selection was expected")
		return nil
	case word == "(":
		if p.depth++; p.depth > maxDepth {
			p.fail(ast.CodeLimit, from, p.pos, "the condition nests deeper than %d levels", maxDepth)
			return nil
		}
		p.next()
		e := p.or()
		p.depth--
		if !p.failed && p.word != ")" {
			p.fail(ast.CodeSyntax, from, from+1, "this parenthesis is not closed")
		}
		p.next()
		return e
	case word == ")" || word == "|" || p.is("and") || p.is("or"):
		p.fail(ast.CodeSyntax, from, p.pos, "found %q where a selection was expected", word)
		return nil
	}
	end := p.pos
	p.next()
	if p.is("of") && p.c.selections[word] == nil {
		return p.of(from, word)
	}
	if p.is("near") {
		p.fail(ast.CodeUnsupported, p.from, p.pos, "near is an aggregation of old Sigma, which is not supported: write a correlation of type temporal")
		return nil
	}
	def := p.c.selections[word]
	if def == nil {
		p.fail(ast.CodeSyntax, from, end, "unknown selection %q: %s", word, p.c.hint(word))
		return nil
	}
	return p.use(def, p.span(from, end))
}

func (p *parser) use(def *ast.MacroDef, at ast.Span) ast.Expr {
	p.failed = p.failed || !p.c.spend(p.node, 1)
	p.c.used[def.Name] = true
	return &ast.Macro{Def: def, At: at}
}

// of reads what follows "1 of" and its like: them, or a pattern of names.
func (p *parser) of(from int, count string) ast.Expr {
	p.next()
	pattern, end := p.word, p.pos
	if pattern == "" || pattern == "(" || pattern == ")" {
		p.fail(ast.CodeSyntax, from, p.pos, `"%s of" needs a name such as selection_*, or them`, count)
		return nil
	}
	p.next()
	at := p.span(from, end)
	var list []ast.Expr
	for _, name := range p.c.order {
		if matchesName(pattern, name) {
			list = append(list, p.use(p.c.selections[name], at))
		}
	}
	if len(list) == 0 {
		p.fail(ast.CodeSyntax, from, end, "no selection is one of %q: %s", pattern, p.c.hint(pattern))
		return nil
	}
	n, err := strconv.Atoi(count)
	switch {
	case strings.EqualFold(count, "all"):
		return and(at, list...)
	case strings.EqualFold(count, "any"):
		n = 1
	case err != nil || n < 1:
		p.fail(ast.CodeSyntax, from, end, `"%s of" is not known: write 1 of, any of, all of, or a number`, count)
		return nil
	case n > len(list):
		p.fail(ast.CodeValue, from, end, "%d of %s can never be true: there are %d such selections", n, pattern, len(list))
		return nil
	}
	return p.choices(list, n, at)
}

// matchesName reports whether a selection is meant by a pattern. Names that
// begin with _ are meant for others' use and not among "them".
func matchesName(pattern, name string) bool {
	if strings.EqualFold(pattern, "them") {
		return !strings.HasPrefix(name, "_")
	}
	ok, err := path.Match(strings.NewReplacer(`\`, `\\`, "[", `\[`, "?", `\?`).Replace(pattern), strings.ReplaceAll(name, "/", "\x00"))
	return ok && err == nil
}

// choices is true where n of the list are: one of all choices of n.
func (p *parser) choices(list []ast.Expr, n int, at ast.Span) ast.Expr {
	if n == 1 {
		return or(at, list...)
	}
	total := 1
	for i := range n {
		if total = total * (len(list) - i) / (i + 1); total > maxChoices {
			p.fail(ast.CodeLimit, at.From, at.To, "%d of %d selections can be chosen in more than %d ways: divide the condition", n, len(list), maxChoices)
			return nil
		}
	}
	var out []ast.Expr
	pick := make([]ast.Expr, 0, n)
	var choose func(from int)
	choose = func(from int) {
		if len(pick) == n {
			out = append(out, and(at, append([]ast.Expr(nil), pick...)...))
			return
		}
		for i := from; i <= len(list)-(n-len(pick)); i++ {
			pick = append(pick, list[i])
			choose(i + 1)
			pick = pick[:len(pick)-1]
		}
	}
	choose(0)
	return or(at, out...)
}
