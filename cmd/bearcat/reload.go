package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/agent"
	"github.com/bearcat-hids/bearcat/internal/config"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/status"
	"github.com/spf13/cobra"
)

func rulesReloadCommand() *cobra.Command {
	socket := config.Default().Status.Socket
	cmd := &cobra.Command{
		Use: "reload", Short: "have the running agent read its rules anew",
		Long: `Has the agent that runs on this host read its rule files anew and put them in
place of those that it matches, without a restart and with no event missed.
Rules with errors are refused, and the old ones stay. The agent does the same by
itself when a file has changed (rules.watch), and on SIGHUP.`,
		Example: "  bearcat rules check /etc/bearcat/rules && bearcat rules reload",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var done string
			if err := status.Ask(socket, "reload", nil, &done); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), done)
			return err
		},
	}
	cmd.Flags().StringVar(&socket, "socket", socket, "the agent's status socket")
	return cmd
}

// reloads has the agent read its rules anew, and open its output file anew, on
// SIGHUP, and when the rule files have changed.
func reloads(a *agent.Agent, cfg *config.Config, log *slog.Logger) (stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	reload := func(why string) {
		said, err := a.Reload()
		if err != nil {
			log.Error("rules were not reloaded "+why, "error", err)
			return
		}
		log.Info("rules were reloaded "+why, "result", said)
	}
	var look <-chan time.Time
	w := newWatch(cfg.Rules.Files)
	if len(cfg.Rules.Files) > 0 && cfg.Rules.Watch > 0 {
		t := time.NewTicker(cfg.Rules.Watch)
		look = t.C
	}
	go func() {
		for {
			select {
			case <-done:
				return
			case <-hup:
				if err := a.Reopen(); err != nil {
					log.Error("the output file could not be opened anew", "error", err)
				}
				w.settle()
				reload("on SIGHUP")
			case <-look:
				if w.changed() {
					reload("after a file had changed")
				}
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		close(done)
	}
}

// watch finds out whether rule files have changed, by looking: that works on
// every file system and through the links that a Kubernetes volume is made of.
// A change counts when two looks in a row see the same, so that a file that is
// being written is left alone.
type watch struct {
	paths     []string
	used, now [sha256.Size]byte
}

func newWatch(paths []string) *watch {
	w := &watch{paths: paths}
	w.settle()
	return w
}

// settle takes what is there for what is in use.
func (w *watch) settle() {
	w.used = w.look()
	w.now = w.used
}

// changed reports a change that is complete, once.
func (w *watch) changed() bool {
	last := w.now
	w.now = w.look()
	if w.now == w.used || w.now != last {
		return false
	}
	w.used = w.now
	return true
}

// How long rule files have to stay as they are before a reload trusts them, and how often
// it looks for that.
const (
	settleTime  = 100 * time.Millisecond
	settleLooks = 50
)

// loadSettled loads rules from files that nobody is writing to: half a file may be valid, and
// would take rules away.
func loadSettled(paths []string, sleep func(time.Duration)) (*rule.Set, *rule.Report, error) {
	w := &watch{paths: paths}
	before := w.look()
	for range settleLooks {
		sleep(settleTime)
		now := w.look()
		if now != before {
			before = now
			continue
		}
		set, report, err := loadRules(paths)
		if w.look() == before {
			return set, report, err
		}
	}
	return nil, nil, fmt.Errorf("the rule files are being written to: they have changed again and again for %s; write to another file and rename it into place", settleLooks*settleTime)
}

// look sums up which files there are, their sizes and times.
func (w *watch) look() (sum [sha256.Size]byte) {
	h := sha256.New()
	add := func(path string) {
		st, err := os.Stat(path)
		fmt.Fprintf(h, "%q %v ", path, err)
		if err == nil && !st.IsDir() {
			var inode uint64
			if sys, ok := st.Sys().(*syscall.Stat_t); ok {
				inode = sys.Ino
			}
			_ = binary.Write(h, binary.LittleEndian, []int64{st.Size(), st.ModTime().UnixNano(), int64(inode)})
		}
	}
	for _, p := range w.paths {
		add(p)
		entries, err := os.ReadDir(p)
		if err != nil {
			continue // a file
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); e.Type()&fs.ModeDir == 0 && (ext == ".yaml" || ext == ".yml") {
				add(filepath.Join(p, e.Name()))
			}
		}
	}
	h.Sum(sum[:0])
	return sum
}
