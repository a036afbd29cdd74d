package tracer

import (
	"io"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The kernel counts what programs take only while it is asked to, and counting costs each
// run about as much as a small program does: so it is asked for a tenth of the time, and
// the rest is taken to be like it.
const (
	meterOn  = 100 * time.Millisecond
	meterOff = 9 * meterOn
)

// meter estimates what programs take.
type meter struct {
	programs map[string]*ebpf.Program
	begun    time.Time // when it first looked
	turned   time.Time // on or off
	stats    io.Closer // nil while it is off
	before   time.Duration
	// took is what was counted, in the time measured.
	took, measured time.Duration
}

func startMeter(programs map[string]*ebpf.Program, now time.Time) *meter {
	m := &meter{programs: programs, begun: now}
	m.turnOn(now)
	return m
}

// sum is what the kernel has counted of the programs so far.
func (m *meter) sum() (total time.Duration) {
	for _, p := range m.programs {
		if st, err := p.Stats(); err == nil {
			total += st.Runtime
		}
	}
	return total
}

func (m *meter) turnOn(now time.Time) {
	m.turned = now
	if stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err == nil { // before 5.8 nothing is counted
		m.stats, m.before = stats, m.sum()
	}
}

// turnOff ends a time of counting.
func (m *meter) turnOff(now time.Time) {
	if m.stats == nil {
		return
	}
	m.took += m.sum() - m.before
	m.measured += now.Sub(m.turned)
	m.turned = now
	_ = m.stats.Close()
	m.stats = nil
}

// tick turns it on or off where the time has come.
func (m *meter) tick(now time.Time) {
	switch since := now.Sub(m.turned); {
	case m.stats != nil && since >= meterOn:
		m.turnOff(now)
	case m.stats == nil && since >= meterOff:
		m.turnOn(now)
	}
}

// total is what the programs are taken to have used since the beginning.
func (m *meter) total(now time.Time) time.Duration {
	took, measured := m.took, m.measured
	if m.stats != nil {
		took += m.sum() - m.before
		measured += now.Sub(m.turned)
	}
	if measured <= 0 {
		return 0
	}
	return time.Duration(float64(took) * float64(now.Sub(m.begun)) / float64(measured))
}
