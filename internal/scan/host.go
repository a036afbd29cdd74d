package scan

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// listeners are programs that hold packet sockets as part of their work.
var listeners = []string{"dhclient", "dhcpcd", "systemd-networkd", "systemd-network", "NetworkManager", "wpa_supplicant", "lldpd", "hostapd", "arping", "keepalived", "dnsmasq", "udhcpc",
	"iwd", "ovs-vswitchd", "avahi-autoipd"}

// promiscuous is the bit of a device's flags (IFF_PROMISC).
const promiscuous = 0x100

// sniffers looks for who reads packets of others.
func sniffers(h *Host) ([]Finding, error) {
	var out []Finding
	told := map[string]bool{}
	files, filesErr := h.files()
	for i := range files {
		f := &files[i]
		if f.FD.Sock == nil || f.FD.Sock.Family != "packet" {
			continue
		}
		usual := false
		for _, n := range listeners {
			usual = usual || strings.HasPrefix(f.Proc.Comm, n) && !strings.HasPrefix(exe(f.Proc), "/tmp/")
		}
		key := f.Key.String()
		if usual || told[key] {
			continue
		}
		told[key] = true
		out = append(out, Finding{
			What: name(f.Proc) + " reads packets of the whole host", Evidence: fmt.Sprintf("descriptor %d is a packet socket; it runs %s", f.FD.Num, exe(f.Proc)), Sure: Possible,
			Pid: f.Key.Pid, subject: key, Do: "If nobody captures packets on purpose, see who started it: bearcat show proc " + strconv.FormatUint(uint64(f.Key.Pid), 10) + ".",
		})
	}
	devices, err := filepath.Glob("/sys/class/net/*/flags")
	if err != nil {
		return out, err
	}
	for _, path := range devices {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		flags, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(b)), "0x"), 16, 32)
		dev := filepath.Base(filepath.Dir(path))
		if err != nil || flags&promiscuous == 0 {
			continue
		}
		out = append(out, Finding{What: "device " + dev + " takes packets that are not for this host", Evidence: fmt.Sprintf("its flags are %#x", flags), Sure: Possible, Path: dev, subject: dev,
			Do: "Bridges and captures set it; if there are none, look for packet sockets: bearcat show socket --where 'fd.type = packet'."})
	}
	return out, filesErr
}

// rootAccounts reads the accounts.
func rootAccounts(h *Host) ([]Finding, error) {
	path := h.Root + "/etc/passwd"
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var out []Finding
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		w := strings.Split(lines.Text(), ":")
		if len(w) < 3 || w[2] != "0" || w[0] == "root" {
			continue
		}
		out = append(out, Finding{What: "account " + w[0] + " is root by another name", Evidence: fmt.Sprintf("line %d of %s gives it user id 0", n, path), Sure: Likely, Path: path, subject: w[0],
			Do: "Lock it (usermod -L), find out who made it, and look for its keys and cron jobs."})
	}
	return out, lines.Err()
}

// rootDirs are where root's shells and cron find what they run.
var rootDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
	"/etc/systemd/system", "/etc/profile.d", "/etc/ld.so.conf.d"}

// rootFiles are files that root's programs read and obey.
var rootFiles = []string{"/etc/crontab", "/etc/sudoers", "/etc/passwd", "/etc/shadow", "/etc/ld.so.preload", "/etc/profile", "/root/.bashrc", "/root/.profile", "/root/.ssh/authorized_keys"}

// rootPaths looks for places that somebody else than root may write.
func rootPaths(h *Host) ([]Finding, error) {
	var out []Finding
	look := func(path string) {
		st, err := os.Stat(h.Root + path)
		if err != nil {
			return
		}
		if why := writableByOthers(st); why != "" {
			out = append(out, Finding{What: path + " can be changed by others than root, and root's programs use it", Evidence: why, Sure: Likely, Path: path, subject: path,
				Do: "chown root:root and chmod go-w " + path + ", and see what was changed in it."})
		}
	}
	for _, p := range rootFiles {
		look(p)
	}
	for _, dir := range rootDirs {
		look(dir)
		if !strings.HasPrefix(dir, "/etc/") {
			continue
		}
		entries, err := os.ReadDir(h.Root + dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				look(filepath.Join(dir, e.Name()))
			}
		}
	}
	return out, nil
}

func writableByOthers(st fs.FileInfo) string {
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return ""
	case sys.Uid != 0:
		return fmt.Sprintf("it belongs to user %d", sys.Uid)
	case st.Mode().Perm()&0o002 != 0 && st.Mode()&fs.ModeSticky == 0:
		return fmt.Sprintf("its mode is %04o", st.Mode().Perm())
	case st.Mode().Perm()&0o020 != 0 && sys.Gid != 0 && sys.Gid >= 1000:
		return fmt.Sprintf("its mode is %04o and its group %d", st.Mode().Perm(), sys.Gid)
	}
	return ""
}

// openDirs are where anybody may write; setUIDs walks them to a depth, and to a
// number of entries.
var openDirs = []string{"/tmp", "/var/tmp", "/dev/shm", "/run/user", "/home"}

const (
	openDepth   = 4
	openEntries = 100_000
)

// setUIDs looks for set-uid programs there.
func setUIDs(h *Host) ([]Finding, error) {
	var out []Finding
	left := openEntries
	for _, dir := range openDirs {
		top := h.Root + dir
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if left--; left < 0 {
				return errors.New("too many entries")
			}
			if err != nil {
				return nil // it went, or may not be read
			}
			if d.IsDir() && strings.Count(strings.TrimPrefix(path, top), "/") >= openDepth {
				return fs.SkipDir
			}
			if !d.Type().IsRegular() {
				return nil
			}
			st, err := d.Info()
			if err != nil || st.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 || st.Mode().Perm()&0o111 == 0 {
				return nil
			}
			path = strings.TrimPrefix(path, h.Root)
			out = append(out, Finding{What: path + " runs with the rights of its owner, in a folder where anybody may write", Evidence: "its mode is " + st.Mode().String(), Sure: Likely,
				Path: path, subject: path, Do: "chmod u-s,g-s it, keep a copy, and find out who made it."})
			return nil
		})
		if err != nil && left < 0 {
			return out, fmt.Errorf("%s and below have more than %d entries: the rest was not looked at", dir, openEntries)
		}
	}
	return out, nil
}
