package status

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRunning is what Query wraps where no agent answers.
var ErrNotRunning = errors.New("no agent is running")

// Query asks the agent at the socket for its status.
func Query(path string) (Status, error) {
	r, err := query(path, request{Verb: "status"})
	if err == nil && r.Status == nil {
		err = errors.New("the answer holds no status")
	}
	if err != nil {
		return Status{}, fmt.Errorf("asking %s for its status: %w", path, err)
	}
	return *r.Status, nil
}

// Ask asks the agent at the socket another verb, with args as JSON, and reads
// its answer into out.
func Ask(path, verb string, args, out any) error {
	b, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("asking %s for %s: %w", path, verb, err)
	}
	r, err := query(path, request{Verb: verb, Args: b})
	if err == nil && r.Answer == nil {
		err = errors.New("there is no answer")
	}
	if err == nil {
		err = json.Unmarshal(r.Answer, out)
	}
	if err != nil {
		return fmt.Errorf("asking %s for %s: %w", path, verb, err)
	}
	return nil
}

func query(path string, ask request) (reply, error) {
	conn, err := net.DialTimeout("unix", path, timeout)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return reply{}, fmt.Errorf("%w: start one, or name its status socket", ErrNotRunning)
	case errors.Is(err, fs.ErrPermission):
		return reply{}, fmt.Errorf("%w: ask as root or as the user who runs the agent", err)
	case err != nil:
		return reply{}, err
	}
	defer conn.Close()
	c := conn.(*net.UnixConn)
	if err := c.SetDeadline(time.Now().Add(verbTime)); err != nil {
		return reply{}, err
	}
	// whoever answers must not be another user who took the path
	cred, err := peer(c)
	if err != nil {
		return reply{}, err
	}
	if allow(cred.Uid, os.Geteuid()) != nil {
		return reply{}, fmt.Errorf("the socket belongs to uid %d: expected root or yourself", cred.Uid)
	}
	b, err := json.Marshal(ask)
	if err != nil {
		return reply{}, err
	}
	if _, err := c.Write(append(b, '\n')); err != nil {
		return reply{}, err
	}
	line, err := bufio.NewReader(io.LimitReader(c, maxReply)).ReadBytes('\n')
	if err != nil {
		return reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	if r.Error != "" {
		return reply{}, errors.New(r.Error)
	}
	return r, nil
}
