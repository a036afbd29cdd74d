package process

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// overlayMagic is what statfs(2) reports for overlayfs.
const overlayMagic = 0x794c7630

// userPart is what only reads that may block can tell of a process.
type userPart struct {
	cmdline, environ       []byte
	cmdlineCut, environCut bool
	exe                    *syscall.Stat_t
	overlay                bool
	stdio                  [3]*syscall.Stat_t
}

// argv splits the arguments into the image.
func (u *userPart) argv(img *event.Image) {
	img.Argv, img.ArgvCut = splitArgs(u.cmdline), u.cmdlineCut
	img.Argc = len(img.Argv) // at least, where it was cut
}

// user reads what a process can delay for as long as it likes: its memory,
// when a page of it comes from a FUSE file system of its own, and the
// attributes of files on such a one. What hangs is left behind.
func (p *ProcFS) user(pid uint32, files bool) userPart {
	cut := userPart{cmdlineCut: true, environCut: true}
	if p.stuck.Load() >= maxStuck {
		return cut
	}
	var over atomic.Bool // set by whoever is first: the read or the clock
	done := make(chan userPart, 1)
	go func() {
		u := p.readUser(p.dir(pid), files)
		if !over.CompareAndSwap(false, true) {
			p.stuck.Add(-1)
		}
		done <- u
	}()
	timer := time.NewTimer(p.cfg.Timeout)
	defer timer.Stop()
	select {
	case u := <-done:
		return u
	case <-timer.C:
	}
	p.stuck.Add(1)
	if !over.CompareAndSwap(false, true) {
		p.stuck.Add(-1)
		return <-done
	}
	return cut
}

func (p *ProcFS) readUser(dir string, files bool) userPart {
	var u userPart
	var err error
	if u.cmdline, u.cmdlineCut, err = readUpTo(dir+"/cmdline", maxCmdline); err != nil {
		u.cmdlineCut = true
	}
	if p.cfg.Env != nil {
		if u.environ, u.environCut, err = readUpTo(dir+"/environ", maxEnviron); err != nil {
			u.environCut = true
		}
	}
	if !files {
		return u
	}
	u.exe = statOf(dir + "/exe")
	var fs syscall.Statfs_t
	if syscall.Statfs(dir+"/exe", &fs) == nil {
		u.overlay = int64(fs.Type) == overlayMagic // its type differs by architecture
	}
	for i := range u.stdio {
		u.stdio[i] = statOf(dir + "/fd/" + strconv.Itoa(i))
	}
	return u
}

func statOf(path string) *syscall.Stat_t {
	st, err := os.Stat(path)
	if err != nil {
		return nil
	}
	s, _ := st.Sys().(*syscall.Stat_t)
	return s
}

// image describes the program that a process runs. Interp and Script cannot be
// told from /proc.
func (p *ProcFS) image(pid uint32) *event.Image {
	dir := p.dir(pid)
	img := new(event.Image)
	u := p.user(pid, true)
	u.argv(img)
	if p.cfg.Env != nil {
		img.Env, img.EnvCut = p.cfg.Env.Select(u.environ, nil), u.environCut
	}
	if link, err := os.Readlink(dir + "/exe"); err == nil {
		img.Exe = exeFile(link, u.exe)
		img.Exe.Overlay = u.overlay
		if root, err := os.Readlink(dir + "/root"); err == nil && !img.Exe.Memfd {
			fromRoot(&img.Exe, root)
		}
	}
	img.Filename = img.Exe.Path
	img.Cwd, _ = os.Readlink(dir + "/cwd")
	for i := range img.Stdio {
		if link, err := os.Readlink(dir + "/fd/" + strconv.Itoa(i)); err == nil {
			img.Stdio[i] = stdio(link, u.stdio[i])
		}
	}
	return img.Seal()
}

// exeFile describes an executable by the link to it and, where they could be
// read, its attributes.
func exeFile(link string, st *syscall.Stat_t) event.File {
	f := event.File{Path: link}
	path, marked := strings.CutSuffix(link, " (deleted)")
	if st == nil {
		if marked {
			f.Path, f.Deleted = path, true
		}
	} else {
		if marked && st.Nlink == 0 {
			f.Path, f.Deleted = path, true
		}
		f.Dev = devNumber(uint64(st.Dev)) // its type differs by architecture
		f.Inode, f.Nlink, f.Mode, f.UID, f.GID = st.Ino, uint32(st.Nlink), st.Mode, st.Uid, st.Gid
		f.Mtime, f.Ctime = st.Mtim.Nano(), st.Ctim.Nano()
	}
	if name, ok := strings.CutPrefix(f.Path, "/memfd:"); ok && f.Deleted {
		f.Path, f.Memfd = "memfd:"+name, true
	}
	return f
}

// fromRoot fills in how a file looks from the process's own root.
func fromRoot(f *event.File, root string) {
	if root == "/" || root == "" {
		return
	}
	if rest, ok := strings.CutPrefix(f.Path, root); ok && strings.HasPrefix(rest, "/") {
		f.RootPath = rest
		return
	}
	f.Unreachable = true
}

// stdio describes a file descriptor by its link and attributes.
func stdio(link string, st *syscall.Stat_t) event.Stdio {
	s := event.Stdio{Inode: linkNumber(link)}
	switch {
	case strings.HasPrefix(link, "pipe:["):
		s.Kind = event.StdioPipe
		return s
	case strings.HasPrefix(link, "socket:["):
		s.Kind = event.StdioSocket
		return s
	case strings.HasPrefix(link, "anon_inode:"):
		return event.Stdio{Kind: event.StdioAnon, Path: link}
	}
	s.Path, s.Kind = link, kindByName(link)
	if st == nil {
		return s
	}
	s.Inode = st.Ino
	if st.Nlink == 0 {
		s.Path = strings.TrimSuffix(link, " (deleted)")
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		s.Kind = event.StdioFile
	case syscall.S_IFDIR:
		s.Kind = event.StdioDir
	case syscall.S_IFIFO:
		s.Kind = event.StdioFifo
	case syscall.S_IFBLK:
		s.Kind = event.StdioBlock
	case syscall.S_IFSOCK:
		s.Kind = event.StdioSocket
	case syscall.S_IFCHR:
		s.Kind = kindByDev(devNumber(uint64(st.Rdev))) // its type differs by architecture
	}
	return s
}

// kindByName guesses where the attributes could not be read.
func kindByName(path string) event.StdioKind {
	switch {
	case path == "/dev/null":
		return event.StdioNull
	case strings.HasPrefix(path, "/dev/pts/"):
		return event.StdioPty
	case strings.HasPrefix(path, "/dev/tty"), path == "/dev/console":
		return event.StdioTty
	case strings.HasPrefix(path, "/dev/"):
		return event.StdioChar
	}
	return event.StdioFile
}

func kindByDev(dev uint64) event.StdioKind {
	major, minor := uint32(dev>>32), uint32(dev)
	switch {
	case major == 1 && minor == 3:
		return event.StdioNull
	case major >= ptsMajor && major <= ptsMajorEnd:
		return event.StdioPty
	case major == ttyMajor || major == ttyAuxMajor:
		return event.StdioTty
	}
	return event.StdioChar
}

// devNumber turns the encoding of stat(2) into major<<32 | minor.
func devNumber(dev uint64) uint64 {
	major := dev>>8&0xfff | dev>>32&^0xfff
	minor := dev&0xff | dev>>12&^0xff&0xffffffff
	return major<<32 | minor
}
