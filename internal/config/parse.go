package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxErrors bounds how many mistakes of one file are told.
const maxErrors = 20

// Parse reads text, which came from the file called name, over the defaults.
func Parse(name string, text []byte) (*Config, error) {
	c := Default()
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // nothing but comments
			return c, nil
		}
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it holds more than one YAML document: remove all after the first", name)
	}
	p := parser{name: name, config: c, byPath: map[string]setting{}}
	for _, s := range settings() {
		p.byPath[s.path] = s
	}
	if len(doc.Content) == 1 && doc.Content[0].Tag != "!!null" {
		p.mapping("", doc.Content[0])
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return c, nil
}

type parser struct {
	name   string
	config *Config
	byPath map[string]setting
	errs   []error
}

func (p *parser) fail(n *yaml.Node, path string, err error) {
	switch {
	case len(p.errs) == maxErrors:
		p.errs = append(p.errs, fmt.Errorf("%s: more mistakes follow", p.name))
	case len(p.errs) < maxErrors:
		if path != "" {
			path += ": "
		}
		p.errs = append(p.errs, fmt.Errorf("%s:%d:%d: %s%w", p.name, n.Line, n.Column, path, err))
	}
}

// mapping reads the keys below a path, which is empty or ends with a dot.
func (p *parser) mapping(at string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, strings.TrimSuffix(at, "."), fmt.Errorf("expected settings such as %q, found %s", p.keys(at)[0]+": …", kindName(n)))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := at + key.Value
		if line, twice := seen[key.Value]; twice {
			p.fail(key, path, fmt.Errorf("it is set twice, first in line %d", line))
			continue
		}
		seen[key.Value] = key.Line
		s, known := p.byPath[path]
		switch {
		case known:
			if err := p.set(s, value); err != nil {
				p.fail(value, path, err)
			}
		case !slices.Contains(p.keys(at), key.Value):
			p.fail(key, path, fmt.Errorf("unknown setting%s", p.suggest(at, key.Value)))
		case value.Tag == "!!null": // a section with all of it commented out
		default:
			p.mapping(path+".", value)
		}
	}
}

func (p *parser) set(s setting, value *yaml.Node) error {
	if err := s.set(p.config, value); err != nil {
		return err
	}
	return s.check(p.config)
}

// keys lists what may stand below a path.
func (p *parser) keys(at string) []string {
	var out []string
	for _, s := range settings() {
		rest, ok := strings.CutPrefix(s.path, at)
		if !ok {
			continue
		}
		key, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// suggest names the key that may have been meant: one that is spelt like it,
// or one of that name in another section.
func (p *parser) suggest(at, key string) string {
	keys := p.keys(at)
	if s := didYouMean(key, keys); s != "" {
		return s
	}
	for _, s := range settings() {
		if strings.HasSuffix(s.path, "."+key) {
			return fmt.Sprintf("; did you mean %q?", s.path)
		}
	}
	return ": expected one of " + strings.Join(keys, ", ")
}
