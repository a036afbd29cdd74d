package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Place says where a rule goes: before or after another, or last where both are empty.
type Place struct{ Before, After string }

// File is the text of a policy that is changed rule by rule. What is not changed
// stays as it is, comments included; blank lines and indentation may change.
type File struct {
	name string
	doc  yaml.Node
}

// OpenFile reads the text of a policy. name is the file's, for errors.
func OpenFile(name string, text []byte) (*File, error) {
	f := &File{name: name}
	err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&f.doc)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(f.doc.Content) == 0 {
		f.doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	if f.doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: a policy is a mapping with keys such as default and rules", name)
	}
	return f, nil
}

// Text gives the policy as text.
func (f *File) Text() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&f.doc), e.Close()); err != nil {
		return nil, fmt.Errorf("writing the policy: %w", err)
	}
	return b.Bytes(), nil
}

// rules gives the sequence of rules, and makes it where there is none.
func (f *File) rules() (*yaml.Node, error) {
	top := f.doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value != "rules" {
			continue
		}
		v := top.Content[i+1]
		if v.Kind != yaml.SequenceNode {
			if v.Tag != "!!null" {
				return nil, fmt.Errorf("%s:%d: rules is not a list", f.name, v.Line)
			}
			*v = yaml.Node{Kind: yaml.SequenceNode}
		}
		return v, nil
	}
	seq := &yaml.Node{Kind: yaml.SequenceNode}
	top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "rules"}, seq)
	return seq, nil
}

func value(rule *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(rule.Content); i += 2 {
		if rule.Content[i].Value == key {
			return rule.Content[i+1]
		}
	}
	return nil
}

func find(seq *yaml.Node, name string) (int, error) {
	for i, r := range seq.Content {
		if v := value(r, "name"); v != nil && v.Value == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("there is no rule %q: bearcat fw rule list shows them", name)
}

func (p Place) index(seq *yaml.Node) (int, error) {
	switch {
	case p.Before != "" && p.After != "":
		return 0, errors.New("a rule goes before or after another, not both")
	case p.Before != "":
		return find(seq, p.Before)
	case p.After != "":
		i, err := find(seq, p.After)
		return i + 1, err
	}
	return len(seq.Content), nil
}

func insert(seq *yaml.Node, i int, rules ...*yaml.Node) {
	seq.Content = append(seq.Content[:i:i], append(rules, seq.Content[i:]...)...)
}

// Add puts one rule, or a list of rules, written in YAML, into the policy.
func (f *File) Add(rule []byte, at Place) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(rule, &doc); err != nil {
		return fmt.Errorf("reading the rule: %w", err)
	}
	if len(doc.Content) == 0 {
		return errors.New("there is no rule: write one such as {name: no-telnet, match: {protocol: tcp, dport: 23}, action: drop}")
	}
	added := doc.Content
	if doc.Content[0].Kind == yaml.SequenceNode {
		added = doc.Content[0].Content
	}
	seq, err := f.rules()
	if err != nil {
		return err
	}
	for _, r := range added {
		if r.Kind != yaml.MappingNode {
			return errors.New("a rule is a mapping with keys such as name, match and action")
		}
		if v := value(r, "name"); v != nil {
			if _, err := find(seq, v.Value); err == nil {
				return fmt.Errorf("there is a rule %q already: delete it first, or choose another name", v.Value)
			}
		}
	}
	i, err := at.index(seq)
	if err != nil {
		return err
	}
	seq.Style = 0 // a list in brackets gets long
	insert(seq, i, added...)
	return nil
}

// Delete takes a rule out.
func (f *File) Delete(name string) error {
	_, err := f.take(name)
	return err
}

func (f *File) take(name string) (*yaml.Node, error) {
	seq, err := f.rules()
	if err != nil {
		return nil, err
	}
	i, err := find(seq, name)
	if err != nil {
		return nil, err
	}
	r := seq.Content[i]
	seq.Content = append(seq.Content[:i:i], seq.Content[i+1:]...)
	return r, nil
}

// Move puts a rule somewhere else.
func (f *File) Move(name string, to Place) error {
	if to.Before == name || to.After == name {
		return fmt.Errorf("%q cannot stand next to itself", name)
	}
	r, err := f.take(name)
	if err != nil {
		return err
	}
	seq, err := f.rules()
	if err != nil {
		return err
	}
	i, err := to.index(seq)
	if err != nil {
		return err
	}
	insert(seq, i, r)
	return nil
}

// Enable makes a rule take part again, or not.
func (f *File) Enable(name string, on bool) error {
	seq, err := f.rules()
	if err != nil {
		return err
	}
	i, err := find(seq, name)
	if err != nil {
		return err
	}
	r := seq.Content[i]
	for k := 0; k+1 < len(r.Content); k += 2 {
		if r.Content[k].Value == "disabled" {
			r.Content = append(r.Content[:k:k], r.Content[k+2:]...)
			break
		}
	}
	if !on {
		r.Content = append(r.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "disabled"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "true", Tag: "!!bool"})
	}
	return nil
}

// Show gives the text of one rule.
func (f *File) Show(name string) ([]byte, error) {
	seq, err := f.rules()
	if err != nil {
		return nil, err
	}
	i, err := find(seq, name)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(seq.Content[i])
}
