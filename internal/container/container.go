// Package container finds out what a container's runtime knows of it: name,
// image, labels, pod. In come control groups whose paths name a container; out
// come event.ContainerMetas, looked up in the background from the runtimes'
// sockets and the files that they keep. The agent's pipeline calls it.
//
// A runtime may hang, lie or vanish: each lookup has its time, what is read is
// bounded, and ids are checked before they become part of a path or a request.
package container

import (
	"context"
	"sync"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds and times.
const (
	maxCached     = 1024
	maxWaiting    = 256
	workers       = 2
	lookupTime    = 150 * time.Millisecond
	maxBody       = 4 << 20
	retryFirst    = 2 * time.Second
	retryMost     = time.Minute
	DefaultWait   = 200 * time.Millisecond // how long an alert may wait, see Wait
	waitShare     = 10                     // waiting gets a tenth of the time at most
	waitAllowance = time.Second            // and this much at once
)

// Options say where to look. The zero value is for a host as it is.
type Options struct {
	// Root is put before all paths; for tests.
	Root string
	// Sockets are those of Docker's API, which Podman has too; nil for the
	// usual ones.
	Sockets []string
	// Wait is how long Wait waits at most; 0 for DefaultWait.
	Wait time.Duration
}

// Stats is the account of a Resolver.
type Stats struct {
	// Lookups were made; of these Found gave something. Dropped could not be
	// made for want of room, Evicted were forgotten for it.
	Lookups, Found, Dropped, Evicted uint64
	Cached                           int
}

// Resolver finds metadata. Its methods may be called from any goroutine.
type Resolver struct {
	opts   Options
	client *client
	jobs   chan string
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	known   map[string]*entry
	order   []string
	stats   Stats
	allowed time.Duration // what may still be waited
	since   time.Time
}

// entry is what is known of a container: nothing yet, nothing at all, or meta.
type entry struct {
	runtime string
	meta    *event.ContainerMeta
	ready   chan struct{} // closed when the lookup under way ends; nil for none
	retryAt time.Time
	delay   time.Duration
}

// New starts a resolver.
func New(o Options) *Resolver {
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Resolver{opts: o, client: newClient(o), jobs: make(chan string, maxWaiting), stop: cancel, known: map[string]*entry{},
		allowed: waitAllowance, since: time.Now()}
	for range workers {
		r.done.Go(func() { r.work(ctx) })
	}
	return r
}

// Close ends the lookups under way.
func (r *Resolver) Close() {
	r.stop()
	r.done.Wait()
	r.client.close()
}

// Stats returns the account.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Cached = len(r.known)
	return s
}

// Lookup returns what is known of a control group's container, nil for nothing
// (yet), and begins to look where that is due. It never waits.
func (r *Resolver) Lookup(cg *event.Cgroup) *event.ContainerMeta {
	if cg == nil || !validID(cg.FullID) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(cg)
	if e.meta == nil && e.ready == nil && !time.Now().Before(e.retryAt) {
		e.ready = make(chan struct{})
		select {
		case r.jobs <- cg.FullID:
		default:
			close(e.ready)
			e.ready = nil
			r.stats.Dropped++
		}
	}
	return e.meta
}

// entry finds or makes the entry of a container, making room where needed.
func (r *Resolver) entry(cg *event.Cgroup) *entry {
	e := r.known[cg.FullID]
	if e != nil {
		return e
	}
	for len(r.order) >= maxCached {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
		r.stats.Evicted++
	}
	e = &entry{runtime: cg.Runtime}
	r.known[cg.FullID] = e
	r.order = append(r.order, cg.FullID)
	return e
}

// Wait is Lookup, but waits a little for the lookup under way. Altogether it
// waits a tenth of the time at most: a runtime that hangs must not hold up
// everything else.
func (r *Resolver) Wait(cg *event.Cgroup) *event.ContainerMeta {
	if m := r.Lookup(cg); m != nil || cg == nil {
		return m
	}
	r.mu.Lock()
	e := r.known[cg.FullID]
	var ready chan struct{}
	if e != nil {
		ready = e.ready
	}
	now := time.Now()
	r.allowed = min(r.allowed+now.Sub(r.since)/waitShare, waitAllowance)
	r.since = now
	budget := min(r.allowed, r.opts.Wait)
	r.mu.Unlock()
	if ready == nil || budget <= 0 {
		return nil
	}
	timer := time.NewTimer(budget)
	defer timer.Stop()
	select {
	case <-ready:
	case <-timer.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed -= time.Since(now)
	return e.meta
}

// work makes the lookups.
func (r *Resolver) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-r.jobs:
			r.mu.Lock()
			e := r.known[id]
			r.mu.Unlock()
			if e == nil {
				continue // evicted meanwhile
			}
			one, cancel := context.WithTimeout(ctx, lookupTime)
			meta := r.find(one, id, e.runtime)
			cancel()
			r.finish(e, meta)
		}
	}
}

func (r *Resolver) finish(e *entry, meta *event.ContainerMeta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Lookups++
	if meta != nil {
		r.stats.Found++
		e.meta = meta
	} else {
		e.delay = min(max(5*e.delay, retryFirst), retryMost)
		e.retryAt = time.Now().Add(e.delay)
	}
	close(e.ready)
	e.ready = nil
}

// find asks one source after the other.
func (r *Resolver) find(ctx context.Context, id, runtime string) *event.ContainerMeta {
	switch runtime {
	case "lxc", "libvirt-lxc", "systemd-nspawn", "garden", "buildkit":
		return &event.ContainerMeta{Name: id} // the id is the name
	}
	if m := r.client.inspect(ctx, id); m != nil {
		return m
	}
	return r.fromFiles(id)
}

// validID reports whether an id may become part of a path or a request.
func validID(id string) bool {
	if id == "" || len(id) > 128 || id[0] == '.' {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}
