package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Bounds of the user and group files.
const (
	maxUserFile = 16 << 20
	maxUserName = 256
	maxUsers    = 200_000
	userRecheck = time.Second
)

// Users gives names to the numeric ids of users and groups, from the host's
// own files. It asks no name service. One goroutine uses it.
type Users struct {
	users, groups idFile
	checked       time.Time
	now           func() time.Time
}

// idFile is a file in the form of passwd(5) or group(5) as last read.
type idFile struct {
	path  string
	names map[uint32]string
	mtime time.Time
	size  int64
	inode uint64
	known bool
}

// NewUsers reads the two files, mostly /etc/passwd and /etc/group. A file that
// is not there has no names; any other failure is returned, with a Users that
// works with what could be read.
func NewUsers(passwd, group string) (*Users, error) {
	u := &Users{users: idFile{path: passwd}, groups: idFile{path: group}, now: time.Now}
	return u, u.Refresh()
}

// Refresh reads the files again where they have changed. It looks at most once
// a second. What cannot be read keeps its old names.
func (u *Users) Refresh() error {
	now := u.now()
	if !u.checked.IsZero() && now.Sub(u.checked) < userRecheck && !now.Before(u.checked) {
		return nil
	}
	u.checked = now
	return errors.Join(u.users.refresh(), u.groups.refresh())
}

// User returns the name of a user id; empty where it has none or is unset.
func (u *Users) User(id uint32) string {
	if id == event.Unset {
		return ""
	}
	return u.users.names[id]
}

// Group returns the name of a group id; empty where it has none.
func (u *Users) Group(id uint32) string {
	if id == event.Unset {
		return ""
	}
	return u.groups.names[id]
}

func (f *idFile) refresh() error {
	st, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		// while passwd(5) is being replaced it may be gone for a moment
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at %s for names of users and groups: %w; ids stay numeric until it can be read", f.path, err)
	}
	ino := inode(st)
	if f.known && st.ModTime().Equal(f.mtime) && st.Size() == f.size && ino == f.inode {
		return nil
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("reading names of users and groups: %s is not a regular file", f.path)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("reading names of users and groups: %w; ids stay numeric until it can be read", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxUserFile))
	if err != nil {
		return fmt.Errorf("reading names of users and groups from %s: %w", f.path, err)
	}
	f.names = parseIDs(text)
	f.mtime, f.size, f.inode, f.known = st.ModTime(), st.Size(), ino, true
	return nil
}

// parseIDs reads lines "name:password:id:…". Of several names for an id the
// first counts, as in the C library. Lines of another form are passed over.
func parseIDs(text []byte) map[uint32]string {
	names := make(map[uint32]string)
	for len(text) > 0 && len(names) < maxUsers {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		name, rest, ok := bytes.Cut(line, []byte{':'})
		if !ok || !plainName(name) {
			continue
		}
		_, rest, ok = bytes.Cut(rest, []byte{':'})
		if !ok {
			continue
		}
		num, _, _ := bytes.Cut(rest, []byte{':'})
		if len(num) == 0 || len(num) > 10 || num[0] < '0' || num[0] > '9' {
			continue
		}
		id, err := strconv.ParseUint(string(num), 10, 32)
		if err != nil || uint32(id) == event.Unset {
			continue
		}
		if _, ok := names[uint32(id)]; !ok {
			names[uint32(id)] = string(name)
		}
	}
	return names
}

// plainName rejects what cannot be a name: comments, NIS entries, and bytes
// that would disturb a terminal.
func plainName(name []byte) bool {
	if len(name) == 0 || len(name) > maxUserName || bytes.IndexByte([]byte("#+-"), name[0]) >= 0 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
