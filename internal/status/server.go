package status

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The protocol: the client sends one line of JSON, {"verb":"status"}, the
// server answers with one, {"status":{…}} or {"error":"…"}, and closes. Another
// verb can have arguments, {"verb":"…","args":{…}}, and is answered with
// {"answer":…}.
type request struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

type reply struct {
	Error  string          `json:"error,omitempty"`
	Status *Status         `json:"status,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// Handler answers a verb; what it returns is sent as JSON. It is called on
// other goroutines.
type Handler func(args json.RawMessage) (any, error)

// Limits of a conversation, so that no client can hold the agent up.
const (
	timeout    = 2 * time.Second
	verbTime   = 3 * time.Minute // for what a verb does
	maxRequest = 4 << 10
	maxReply   = 16 << 20
	maxClients = 8
)

// InUseError says that another live agent serves the socket.
type InUseError struct {
	Path string
	// Pid is the other agent, 0 where it is not known.
	Pid int
}

// Error implements error.
func (e *InUseError) Error() string {
	who := "another process"
	if e.Pid != 0 {
		who = "the bearcat with pid " + strconv.Itoa(e.Pid)
	}
	return fmt.Sprintf("status socket %s is held by %s: stop that one, or set status.socket to another path", e.Path, who)
}

// Server answers on a status socket.
type Server struct {
	path     string
	lock     *os.File
	listener *net.UnixListener
	snapshot func() Status
	more     map[string]Handler
	slots    chan struct{}
	wg       sync.WaitGroup
}

// Serve listens on a unix socket at path and answers with what snapshot
// returns, which is called on other goroutines, until Close; more are verbs
// beside "status", nil for none. Only root and the
// user who runs the agent are answered. A socket that a dead agent left is
// replaced; one that a live agent holds gives an *InUseError.
func Serve(path string, snapshot func() Status, more map[string]Handler) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of the status socket: %w", err)
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	l, err := listen(path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening status socket: %w", err)
	}
	s := &Server{path: path, lock: lock, listener: l, snapshot: snapshot, more: more, slots: make(chan struct{}, maxClients)}
	s.wg.Go(s.accept)
	return s, nil
}

// takeLock locks the file beside the socket, which holds the owner's pid. The
// kernel drops the lock with its owner, so that a crash leaves nothing behind
// that looks alive, and two agents that start at once cannot both win.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the status socket's lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		}
		if err == nil {
			return f, nil
		}
	}
	defer f.Close()
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("locking status socket %s: %w", path, err)
	}
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text))) // 0 where it says nothing
	return nil, &InUseError{Path: path, Pid: pid}
}

// listen replaces what a dead agent left at path; the lock is held.
func listen(path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("%s is there and is not a socket: remove it, or set status.socket to another path", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// until here the umask decides who may connect; credentials are asked
	// of every client in any case
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (s *Server) accept() {
	for {
		c, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as no descriptor left
			time.Sleep(100 * time.Millisecond)
			continue
		}
		select {
		case s.slots <- struct{}{}:
			s.wg.Go(func() {
				defer func() { <-s.slots }()
				s.answer(c)
			})
		default: // too many at once
			c.Close()
		}
	}
}

// answer holds one conversation. An error is the client's to see: it finds
// the connection closed.
func (s *Server) answer(c *net.UnixConn) {
	defer c.Close()
	if c.SetDeadline(time.Now().Add(timeout)) != nil {
		return
	}
	if err := checkPeer(c); err != nil {
		send(c, reply{Error: err.Error()})
		return
	}
	line, err := bufio.NewReader(io.LimitReader(c, maxRequest)).ReadBytes('\n')
	if err != nil {
		return
	}
	var r request
	switch err := json.Unmarshal(line, &r); {
	case err != nil:
		send(c, reply{Error: "the request is not JSON: " + err.Error()})
	case s.more[r.Verb] != nil:
		answer := s.handle(r)
		if c.SetDeadline(time.Now().Add(timeout)) == nil { // what it did may have taken its time
			send(c, answer)
		}
	case r.Verb != "status":
		send(c, reply{Error: fmt.Sprintf("unknown verb %q: this agent knows %s", r.Verb, strings.Join(s.verbs(), ", "))})
	default:
		st := s.snapshot()
		send(c, reply{Status: &st})
	}
}

func (s *Server) handle(r request) reply {
	v, err := s.more[r.Verb](r.Args)
	if err != nil {
		return reply{Error: err.Error()}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return reply{Error: "encoding the answer: " + err.Error()}
	}
	return reply{Answer: b}
}

// verbs lists what is answered.
func (s *Server) verbs() []string {
	return append([]string{"status"}, slices.Sorted(maps.Keys(s.more))...)
}

func send(c net.Conn, r reply) {
	b, err := json.Marshal(r)
	if err != nil {
		b, _ = json.Marshal(reply{Error: "encoding the status: " + err.Error()})
	}
	_, _ = c.Write(append(b, '\n')) // a client who has gone needs no answer
}

// peer returns the credentials of who is at the other end.
func peer(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, credErr)
}

func checkPeer(c *net.UnixConn) error {
	cred, err := peer(c)
	if err != nil {
		return fmt.Errorf("asking who is there: %w", err)
	}
	return allow(cred.Uid, os.Geteuid())
}

func allow(uid uint32, own int) error {
	if uid == 0 || uid == uint32(own) {
		return nil
	}
	return fmt.Errorf("uid %d may not ask: only root and uid %d may", uid, own)
}

// Close stops answering and removes the socket.
func (s *Server) Close() error {
	err := s.listener.Close() // removes the socket too
	s.wg.Wait()
	return errors.Join(err, s.lock.Close())
}
