package agent

import (
	"fmt"
	"io"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// How often the budget is looked at, and how long it has to be well below its
// limit before a step is taken back.
const (
	budgetLook = 5 * time.Second
	calmLooks  = 6
)

// ladder decides the level at which the agent keeps to its processor time.
type ladder struct {
	allowed int // thousandths of one processor
	max     int
	level   int
	calm    int // looks in a row at which less than half was used
}

// look takes what was used since the last look and reports whether the level
// has changed. It goes up at once and comes down slowly.
func (l *ladder) look(used int) bool {
	if used > l.allowed {
		l.calm = 0
		if l.level == l.max {
			return false
		}
		l.level++
		return true
	}
	if used >= l.allowed/2 || l.level == 0 {
		l.calm = 0
		return false
	}
	if l.calm++; l.calm < calmLooks {
		return false
	}
	l.calm = 0
	l.level--
	return true
}

// budget keeps the agent to its limit.
type budget struct {
	ladder
	sensor *call.Sensor
	stats  io.Closer // the kernel's counting of programs' time; nil where it does not
	last   time.Duration
	at     time.Time
}

// newBudget begins to count. The kernel counts the time of programs only while
// somebody asks it to, which costs a little by itself.
func newBudget(percent float64, s *call.Sensor) (*budget, error) {
	b := &budget{ladder: ladder{allowed: int(percent * 10), max: int(call.MaxLevel)}, sensor: s, at: time.Now()}
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err == nil {
		b.stats = stats
	} else {
		err = fmt.Errorf("the time of programs in the kernel is not counted towards the processor limit: %w", err)
	}
	return b, err
}

func (b *budget) close() {
	if b.stats != nil {
		_ = b.stats.Close()
	}
}

// used returns the processor time of the agent and its programs since the last
// call, in thousandths of one processor.
func (b *budget) used(hooks []kernel.HookStatus, now time.Time) int {
	total := kernel.OwnTime()
	for _, h := range hooks {
		total += h.Runtime
	}
	spent, passed := total-b.last, now.Sub(b.at)
	b.last, b.at = total, now
	if passed <= 0 {
		return 0
	}
	return int(1000 * spent / passed)
}

// beginBudget begins to count once there is a sensor that can collect less: a reload of the
// rules may be the first to ask for one. Until then there is none.
func (a *Agent) beginBudget() *budget {
	a.mu.Lock()
	calls := a.calls
	a.mu.Unlock()
	if calls == nil {
		return nil
	}
	b, err := newBudget(a.cfg.CPU.Limit, calls)
	if err != nil {
		a.warn("%v", err)
	}
	b.used(a.hooks(), time.Now())
	return b
}

// keepBudget looks at the budget until stop is closed.
func (a *Agent) keepBudget(stop <-chan struct{}) {
	tick := time.NewTicker(budgetLook)
	defer tick.Stop()
	b := a.beginBudget()
	defer func() {
		if b != nil {
			b.close()
		}
	}()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if b == nil {
			b = a.beginBudget()
			continue
		}
		used := b.used(a.hooks(), time.Now())
		if !b.look(used) {
			continue
		}
		level := call.Level(b.level)
		if err := b.sensor.SetLevel(level); err != nil {
			a.log.Error("the sensor could not be told to collect less", "error", err)
			continue
		}
		a.log.Warn("the agent keeps to its processor time", "level", b.level, "left out", level.String(), "used", float64(used)/10, "allowed", float64(b.allowed)/10)
		a.level.Store(int64(b.level))
		a.pipe.limit(&event.LimitInfo{Level: b.level, LeftOut: level.String(), Used: used, Allowed: b.allowed})
	}
}
