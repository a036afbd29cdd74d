package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// State is the folder where the text of the policy in use is kept, so that it can be
// shown and restored.
type State struct{ Dir string }

// DefaultState is where commands keep it.
const DefaultState = "/var/lib/bearcat/fw"

// KillSwitch is the file whose being there keeps the firewall off.
const KillSwitch = "/etc/bearcat/fw.off"

// CheckKillSwitch gives an error when the kill switch is set.
func CheckKillSwitch(path string) error {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s is there, so the firewall stays off: remove the file first", path)
	}
	return nil
}

// Policy gives the text of the policy in use; empty text is the empty policy.
func (s State) Policy() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(s.Dir, "policy.yaml"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the policy in use: %w", err)
	}
	return b, nil
}

// Save keeps the text of the policy in use. It is there whole or not at all.
func (s State) Save(text []byte) error { return s.write("policy.yaml", text) }

func (s State) write(name string, text []byte) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", s.Dir, err)
	}
	f, err := os.CreateTemp(s.Dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("writing to %s: %w", s.Dir, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.Dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}

func (s State) pending() string { return filepath.Join(s.Dir, "pending") }

// Pending says whether a policy waits to be confirmed by a process that lives.
func (s State) Pending() bool {
	b, err := os.ReadFile(s.pending())
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return false
	}
	_, err = os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}

// Confirm keeps the policy that waits.
func (s State) Confirm() error {
	if !s.Pending() {
		return errors.New("no policy waits to be confirmed")
	}
	if err := os.Remove(s.pending()); err != nil {
		return fmt.Errorf("confirming: %w", err)
	}
	return nil
}

// Begin notes that this process holds a policy that waits to be confirmed.
func (s State) Begin() error { return s.write("pending", []byte(strconv.Itoa(os.Getpid()))) }

// Wait returns true once Confirm was called, and false at the end of the time or when
// stop closes.
func (s State) Wait(d time.Duration, stop <-chan struct{}) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(s.pending()); errors.Is(err, os.ErrNotExist) {
			return true
		}
		select {
		case <-tick.C:
			continue
		case <-end.C:
		case <-stop:
		}
		// removing it decides: a confirmation at this moment wins or comes too late
		return errors.Is(os.Remove(s.pending()), os.ErrNotExist)
	}
}
