package agent

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// CanaryName is argv[0] of the canary: the agent's own program, which as this
// calls CanaryMain and nothing else.
const CanaryName = "bearcat-canary"

// canaryWait is how long the events of a canary may take through the pipeline.
const canaryWait = 10 * time.Second

// A canary is a process that does, at regular times, what the agent must see:
// it is started, opens files and connects to a socket that is not there. Where
// its events do not come out at the end of the pipeline, the agent is blind,
// and says so with an alert. Rules and outputs do not see the canary itself.
//
// It is known by its parent, not by anything that it says of itself: nobody
// else can be a child of the agent.
type canary struct {
	own    uint32
	expect event.TypeSet

	mu       sync.Mutex
	seen     event.TypeSet
	pid      uint32
	lastOK   time.Time
	runs     uint64
	failures uint64
	problem  string
}

// await changes what the canary's events have to be.
func (c *canary) await(expect event.TypeSet) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.expect = expect
	c.mu.Unlock()
}

func newCanary(expect event.TypeSet) *canary {
	return &canary{own: uint32(os.Getpid()), expect: expect}
}

// claims notes an event of the canary and reports whether it is one, so that
// it goes no further.
func (c *canary) claims(ev *event.Event) bool {
	p := ev.Proc
	if c == nil || p == nil || p.ParentKey.Pid != c.own {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == 0 || c.pid == p.Pid {
		c.seen.Add(event.TypesOf(ev.Type))
	}
	return true
}

// run starts one canary and waits until its events have come, or their time is
// over. It returns what is missing.
func (c *canary) run(stop <-chan struct{}) (missing event.TypeSet, err error) {
	c.mu.Lock()
	c.seen, c.pid = event.TypeSet{}, 0
	c.mu.Unlock()
	// this program, also where its file has been replaced since
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{CanaryName}, Env: []string{}}
	if err := cmd.Run(); err != nil {
		return event.TypeSet{}, fmt.Errorf("starting the canary: %w", err)
	}
	c.mu.Lock()
	c.pid = uint32(cmd.Process.Pid)
	c.mu.Unlock()
	deadline := time.Now().Add(canaryWait)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		c.mu.Lock()
		missing = c.expect.Minus(c.seen)
		c.mu.Unlock()
		if missing.IsZero() || time.Now().After(deadline) {
			tick.Stop()
			return missing, nil
		}
		select {
		case <-stop:
			tick.Stop()
			return event.TypeSet{}, nil
		case <-tick.C:
		}
	}
}

// note records how a canary fared and returns the alert to raise, if any.
func (c *canary) note(missing event.TypeSet, err error, at time.Time) *event.Alert {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	switch {
	case err != nil:
		c.problem = err.Error()
	case !missing.IsZero():
		c.problem = "no " + strings.ReplaceAll(missing.String(), ", ", ", no ") + " of the canary came through"
	default:
		c.lastOK, c.problem = at, ""
		return nil
	}
	c.failures++
	return &event.Alert{
		Rule: &event.RuleInfo{Name: "Bearcat does not see its canary", Desc: "what the agent does itself, to be seen, did not come through the pipeline",
			Priority: event.CriticalLevel, Source: "syscall", Tags: []string{"bearcat"}},
		Time:   at,
		Output: "the agent is blind, or starved of time: " + c.problem + "; see bearcat status",
	}
}

// loop sends canaries until stop is closed. alert takes what is to be raised.
func (c *canary) loop(every time.Duration, stop <-chan struct{}, alert func(*event.Alert)) {
	timer := time.NewTimer(min(every, 5*time.Second)) // the first one soon
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		missing, err := c.run(stop)
		select {
		case <-stop:
			return
		default:
		}
		if a := c.note(missing, err, time.Now()); a != nil {
			alert(a)
		}
		timer.Reset(every)
	}
}

// account is what the status says of the canary.
func (c *canary) account() (lastOK time.Time, runs, failures uint64, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastOK, c.runs, c.failures, c.problem
}

// What the canary opens: a device that hardly anybody else does, and nothing.
const (
	canaryFile    = "/dev/full"
	canaryMissing = "/dev/bearcat-canary"
)

// canaryPeer is what the canary connects to: the own host's port for what is thrown
// away. A datagram socket sends nothing for that.
var canaryPeer = netip.MustParseAddrPort("127.0.0.1:9")

// CanaryMain is the canary's life: opens that read, write and fail, and a connect
// by which nothing is sent. It needs no right and changes nothing.
func CanaryMain() {
	for flags, path := range map[int]string{unix.O_RDONLY: canaryFile, unix.O_WRONLY: canaryFile, unix.O_RDONLY | unix.O_CLOEXEC: canaryMissing} {
		if fd, err := unix.Open(path, flags, 0); err == nil {
			_ = unix.Close(fd)
		}
	}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		_ = unix.Connect(fd, &unix.SockaddrInet4{Addr: canaryPeer.Addr().As4(), Port: int(canaryPeer.Port())})
		_ = unix.Close(fd)
	}
}
