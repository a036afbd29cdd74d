package falco

import (
	"fmt"
	"slices"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"github.com/bearcat-hids/bearcat/internal/rule/ruleyaml"
)

// ruleDef is a rule as it stands after all appends and overrides so far.
type ruleDef struct {
	name, desc, source string
	priority           event.Priority
	cond, output       *ast.Text
	tags               []string
	// notes are the texts for people that stand beside desc, by key.
	notes        map[string]string
	exceptions   []*exception
	enabled      bool
	warnEvttypes bool
	skipUnknown  bool
	at           ast.Span
	// known is set for a rule of another language. cond and output are nil
	// then until one of this language's replaces them.
	known *ast.Rule
	// correlation is set for a rule that has this in place of a condition.
	correlation *ast.Correlation
	// block is the rule's response.
	block time.Duration
}

// The keys of a rule, and those that override can append to and replace.
func ruleKeys() []string {
	return []string{"rule", "desc", "condition", "output", "priority", "source", "enabled", "tags", "exceptions", "override",
		"append", "warn_evttypes", "skip-if-unknown-filter", "capture", "capture_duration", "false_positives", "response_note", "response", "correlation"}
}

// noteKeys are keys of Bearcat's own that hold texts for people.
func noteKeys() []string { return []string{"false_positives", "response_note"} }

func appendKeys() []string { return []string{"condition", "output", "desc", "tags", "exceptions"} }

func replaceKeys() []string {
	return append(appendKeys(), "priority", "enabled", "warn_evttypes", "skip-if-unknown-filter", "capture", "capture_duration", "false_positives", "response_note")
}

func (l *loader) rule(it *item) {
	name := it.text("rule")
	it.name = fmt.Sprintf("rule %q", name)
	it.onlyKeys(ruleKeys()...)
	appends, replaces := it.overrides(appendKeys(), replaceKeys())
	overriding := it.has("override")
	extending := it.has("append") && it.boolean("append", false)
	if it.has("append") {
		it.deprecatedAppend("condition")
		if overriding {
			it.errorf(ast.CodeOverride, it.key["append"], "append and override stand side by side: keep override")
		}
	}
	old := l.rules[name]
	switch {
	case name == "":
	case (overriding || extending) && old == nil:
		it.errorf(ast.CodeOverride, it.val["rule"], "rule %q is to be changed, and is not defined before: %s", name, hint(name, l.ruleNames(), "load the file that defines it first"))
	case extending:
		l.change(it, old, map[string]bool{"condition": it.has("condition"), "exceptions": it.has("exceptions")}, nil)
	case overriding:
		for _, k := range it.keys {
			if slices.Contains(replaceKeys(), k) && !appends[k] && !replaces[k] {
				it.errorf(ast.CodeOverride, it.key[k], "key %q stands here without an entry in override: add %s: replace", k, k)
			}
		}
		l.change(it, old, appends, replaces)
	case it.has("correlation") && it.has("condition"):
		it.errorf(ast.CodeCorrelation, it.key["correlation"], "a rule has either a condition or a correlation: put the condition into a rule of its own, which the correlation names")
	case !it.has("condition") && !it.has("correlation") && !it.has("output") && !it.has("desc") && !it.has("priority"):
		l.toggle(it, old, name)
	default:
		l.define(it, name)
	}
}

func (l *loader) ruleNames() []string {
	out := make([]string, 0, len(l.order))
	for _, r := range l.order {
		out = append(out, r.name)
	}
	return out
}

// toggle handles an item that only switches an earlier rule on or off.
func (l *loader) toggle(it *item, old *ruleDef, name string) {
	if !it.has("enabled") {
		it.errorf(ast.CodeKey, it.node, "the rule has no condition, output, desc and priority: give all of them, or override an earlier rule")
		return
	}
	it.warnf(ast.CodeDeprecated, it.key["enabled"], "a rule with nothing but enabled is deprecated: add override: {enabled: replace}")
	if old == nil {
		it.errorf(ast.CodeOverride, it.val["rule"], "rule %q is to be switched, and is not defined before: %s", name, hint(name, l.ruleNames(), "load the file that defines it first"))
		return
	}
	old.enabled = it.boolean("enabled", true)
}

func (l *loader) define(it *item, name string) {
	def := &ruleDef{name: name, source: "syscall", at: it.at(it.val["rule"])}
	if it.has("correlation") {
		def.correlation = ruleyaml.Correlation(it.src, it.val["correlation"], it.add)
	} else {
		def.cond, _ = it.scalar("condition")
	}
	def.output, _ = it.scalar("output")
	def.desc = it.text("desc")
	def.priority = it.priority()
	if it.has("source") {
		def.source = it.text("source")
	}
	def.enabled = it.boolean("enabled", true)
	def.warnEvttypes = it.boolean("warn_evttypes", true)
	def.skipUnknown = it.boolean("skip-if-unknown-filter", false)
	it.capture()
	def.notes = map[string]string{}
	for _, k := range noteKeys() {
		if it.has(k) {
			def.notes[k] = it.text(k)
		}
	}
	if it.has("response") {
		def.block = ruleyaml.Response(it.src, it.val["response"], it.add)
	}
	def.tags = it.tags(nil)
	for _, ex := range it.exceptions() {
		if ex.complete(it) {
			def.exceptions = append(def.exceptions, ex)
		}
	}
	old := l.rules[name]
	switch {
	case it.failed:
	case old != nil:
		*old = *def
	case len(l.order) >= maxRules:
		it.errorf(ast.CodeLimit, it.node, "there are more than %d rules: load fewer files", maxRules)
	default:
		l.rules[name] = def
		l.order = append(l.order, def)
	}
}

// capture checks the keys that ask Falco to record traffic; they are accepted
// and have no effect.
func (it *item) capture() {
	it.boolean("capture", false)
	if it.has("capture_duration") {
		it.text("capture_duration")
	}
}

func (it *item) priority() event.Priority {
	s := it.text("priority")
	if s == "" {
		return event.Debug
	}
	p, err := event.ParsePriority(s)
	if err != nil {
		it.errorf(ast.CodeValue, it.val["priority"], "%v", err)
	}
	return p
}

// tags adds the item's tags to those there, without repeats.
func (it *item) tags(tags []string) []string {
	if !it.has("tags") {
		return tags
	}
	for _, n := range it.scalars("tags") {
		if !slices.Contains(tags, n.Value) {
			tags = append(tags, n.Value)
		}
	}
	return tags
}

// change appends to and replaces keys of a rule.
func (l *loader) change(it *item, r *ruleDef, appends, replaces map[string]bool) {
	for key, target := range map[string]**ast.Text{"condition": &r.cond, "output": &r.output} {
		if !appends[key] && !replaces[key] {
			continue
		}
		text, ok := it.scalar(key)
		switch {
		case !ok:
		case replaces[key]:
			*target = text
		case *target == nil:
			it.errorf(ast.CodeOverride, it.key[key], "%s cannot be appended to, as rule %q has none in this language: replace it, or write an exception", key, r.name)
		default:
			*target = (*target).Append(text)
		}
	}
	switch {
	case appends["desc"]:
		r.desc += " " + it.text("desc")
	case replaces["desc"]:
		r.desc = it.text("desc")
	}
	switch {
	case appends["tags"]:
		r.tags = it.tags(r.tags)
	case replaces["tags"]:
		r.tags = it.tags(nil)
	}
	if appends["exceptions"] {
		r.appendExceptions(it)
	} else if replaces["exceptions"] {
		r.exceptions = nil
		for _, ex := range it.exceptions() {
			if ex.complete(it) {
				r.exceptions = append(r.exceptions, ex)
			}
		}
	}
	for _, k := range noteKeys() {
		if replaces[k] {
			r.notes[k] = it.text(k)
		}
	}
	if replaces["priority"] {
		r.priority = it.priority()
	}
	if replaces["enabled"] {
		r.enabled = it.boolean("enabled", r.enabled)
	}
	if replaces["warn_evttypes"] {
		r.warnEvttypes = it.boolean("warn_evttypes", r.warnEvttypes)
	}
	if replaces["skip-if-unknown-filter"] {
		r.skipUnknown = it.boolean("skip-if-unknown-filter", r.skipUnknown)
	}
	it.capture()
}

// build turns all definitions into rules.
func (l *loader) build() []*ast.Rule {
	// in their order, so that macros do not nest deep in the building
	for _, m := range l.mOrder {
		l.buildMacro(m, 0)
	}
	var out []*ast.Rule
	for _, r := range l.order {
		if rule := l.buildRule(r); rule != nil {
			out = append(out, rule)
		}
	}
	l.reportMacros()
	return out
}

// buildRule parses and binds one rule; nil where it has errors.
func (l *loader) buildRule(r *ruleDef) *ast.Rule {
	rule := &ast.Rule{
		RuleInfo: event.RuleInfo{Name: r.name, Desc: r.desc, Priority: r.priority, Source: r.source, Tags: r.tags,
			FalsePositives: r.notes["false_positives"], Response: r.notes["response_note"], Block: r.block},
		Enabled: r.enabled, Foreign: r.source != "syscall", WarnAllEvents: r.warnEvttypes, At: r.at,
	}
	item := fmt.Sprintf("rule %q", r.name)
	v := &view{l: l, visible: l.index + 1}
	if r.cond == nil && l.withoutCondition(r, rule) {
		return rule
	}
	cond, diags := r.condition(v)
	if cond != nil {
		var more []ast.Diag
		cond, more = r.withExceptions(cond, v)
		diags = append(diags, more...)
	}
	if cond != nil && ast.Size(cond) > maxExpanded {
		diags = append(diags, ast.NewDiag(ast.Error, ast.CodeLimit, r.at, "the condition is larger than %d checks once its macros are written out", maxExpanded))
	} else if cond != nil && !rule.Foreign {
		ast.Resolve(cond, func(d ast.Diag) { diags = append(diags, d) })
	}
	ok, onlyUnknown := judge(diags, cond != nil, true)
	seen := map[*macroDef]bool{}
	for _, m := range v.uses {
		mOK, mUnknown := judge(m.diags, true, true)
		if !rule.Foreign {
			mOK, mUnknown = m.bind(seen)
		}
		ok, onlyUnknown = ok && mOK, onlyUnknown && mUnknown
	}
	skip := !ok && onlyUnknown && r.skipUnknown
	needSeen := map[*macroDef]bool{}
	for _, m := range v.uses {
		m.need(!skip && !rule.Foreign, needSeen)
	}
	if r.output == nil {
		rule.Output = r.known.Output
	} else {
		rule.Output = parseOutput(r.output, func(d ast.Diag) { diags = append(diags, d) })
	}
	if !rule.Foreign {
		ast.ResolveOutput(rule.Output, func(d ast.Diag) { diags = append(diags, d) })
	}
	for _, d := range diags {
		d.Item = item
		if skip && d.Severity == ast.Error {
			d.Severity = ast.Warning
			d.Message += "; the rule is skipped, as skip-if-unknown-filter asks"
		}
		l.add(d)
	}
	switch {
	case skip:
		rule.Skipped = "its condition has unknown fields, and skip-if-unknown-filter is set"
		rule.Condition = nil
		return rule
	case !ok:
		return nil
	}
	rule.Condition = cond
	return rule
}
