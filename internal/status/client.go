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
	st, err := query(path)
	if err != nil {
		return Status{}, fmt.Errorf("asking %s for its status: %w", path, err)
	}
	return st, nil
}

func query(path string) (Status, error) {
	conn, err := net.DialTimeout("unix", path, timeout)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return Status{}, fmt.Errorf("%w: start one, or name its status socket", ErrNotRunning)
	case errors.Is(err, fs.ErrPermission):
		return Status{}, fmt.Errorf("%w: ask as root or as the user who runs the agent", err)
	case err != nil:
		return Status{}, err
	}
	defer conn.Close()
	c := conn.(*net.UnixConn)
	if err := c.SetDeadline(time.Now().Add(2 * timeout)); err != nil {
		return Status{}, err
	}
	// whoever answers must not be another user who took the path
	cred, err := peer(c)
	if err != nil {
		return Status{}, err
	}
	if allow(cred.Uid, os.Geteuid()) != nil {
		return Status{}, fmt.Errorf("the socket belongs to uid %d: expected root or yourself", cred.Uid)
	}
	if _, err := io.WriteString(c, `{"verb":"status"}`+"\n"); err != nil {
		return Status{}, err
	}
	line, err := bufio.NewReader(io.LimitReader(c, maxReply)).ReadBytes('\n')
	if err != nil {
		return Status{}, fmt.Errorf("reading the answer: %w", err)
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return Status{}, fmt.Errorf("reading the answer: %w", err)
	}
	switch {
	case r.Error != "":
		return Status{}, errors.New(r.Error)
	case r.Status == nil:
		return Status{}, errors.New("the answer holds no status")
	}
	return *r.Status, nil
}
