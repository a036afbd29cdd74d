package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// List names a list of sources in the journal.
type List string

// The lists.
const (
	BlockList List = "block"
	AllowList List = "allow"
	BanList   List = "ban"
)

// Cause is the alert that a ban goes back to.
type Cause struct {
	ID   string `json:"id"`
	Rule string `json:"rule"`
	// Process is the one that the alert is about, Chain that one with those above it; an
	// alert about an event of the firewall has none.
	Process string `json:"process,omitempty"`
	Chain   string `json:"chain,omitempty"`
}

// String is the cause for people.
func (c *Cause) String() string {
	s := "alert " + c.ID + ", " + c.Rule
	if c.Chain != "" {
		s += ": " + c.Chain
	}
	return s
}

// Change is one line of the journal: what a command did to a list.
type Change struct {
	List    List         `json:"list"`
	Prefix  netip.Prefix `json:"prefix,omitzero"`
	Until   time.Time    `json:"until,omitzero"` // zero: for ever
	Comment string       `json:"comment,omitempty"`
	Alert   *Cause       `json:"alert,omitempty"` // of a ban that an alert's response made
	// Gone takes the prefix off, or with no prefix everything.
	Gone bool `json:"gone,omitempty"`
}

func (s State) journal() string { return filepath.Join(s.Dir, "lists.jsonl") }

// Note appends to the journal of lists, from which they are restored when the host has
// restarted. What rules and guards ban is not in it.
func (s State) Note(changes ...Change) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", s.Dir, err)
	}
	f, err := os.OpenFile(s.journal(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the journal of lists: %w", err)
	}
	_, err = f.Write(lines(changes))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the journal of lists (the kernel's list is changed all the same): %w", err)
	}
	return nil
}

func lines(changes []Change) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for i := range changes {
		_ = e.Encode(&changes[i]) // into memory, of plain values
	}
	return b.Bytes()
}

// Lists gives what the journal comes to, in the order in which entries were added
// last, without what has expired. bad is how many lines could not be read, such as
// one that a crash cut off.
func (s State) Lists() (entries []Change, bad int, err error) {
	f, err := os.Open(s.journal())
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening the journal of lists: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	type key struct {
		list   List
		prefix netip.Prefix
	}
	at := map[key]int{}
	var all []Change
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		var c Change
		if json.Unmarshal(scan.Bytes(), &c) != nil || !c.Gone && !c.Prefix.IsValid() {
			bad++
			continue
		}
		k := key{c.List, c.Prefix}
		if c.Gone && !c.Prefix.IsValid() {
			for k, i := range at {
				if k.list == c.List {
					all[i].Gone = true
					delete(at, k)
				}
			}
			continue
		}
		if i, ok := at[k]; ok {
			all[i].Gone = true
			delete(at, k)
		}
		if !c.Gone {
			at[k] = len(all)
			all = append(all, c)
		}
	}
	if err := scan.Err(); err != nil {
		return nil, bad, fmt.Errorf("reading the journal of lists: %w", err)
	}
	now := time.Now()
	for _, c := range all {
		if !c.Gone && (c.Until.IsZero() || c.Until.After(now)) {
			entries = append(entries, c)
		}
	}
	return entries, bad, nil
}

// Compact writes the journal anew with these entries only.
func (s State) Compact(entries []Change) error { return s.write("lists.jsonl", lines(entries)) }
