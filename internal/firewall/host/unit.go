package host

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Unit is a systemd service that attaches the firewall at boot.
type Unit struct {
	Binary string
	Kill   string // the kill switch
	// Devices are where to attach, Flags the command's others, each with its value.
	Devices []string
	Flags   [][2]string
	Egress  bool // judge what goes out too
}

var deviceName = regexp.MustCompile(`^[A-Za-z0-9_.@-]{1,15}$`)

// Text writes the unit. It runs before the network is up.
func (u *Unit) Text() (string, error) {
	for _, dev := range u.Devices {
		if !deviceName.MatchString(dev) {
			return "", fmt.Errorf("%q is not the name of a device that a unit can hold", dev)
		}
	}
	start := append([]string{quote(u.Binary), "fw", "attach"}, u.Devices...)
	for _, f := range u.Flags {
		start = append(start, f[0], quote(f[1]))
	}
	if u.Egress {
		start = append(start, "--egress")
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "[Unit]\nDescription=Bearcat firewall\nDefaultDependencies=no\nBefore=network-pre.target\nWants=network-pre.target\n")
	for _, d := range u.Devices {
		_, _ = fmt.Fprintf(&b, "BindsTo=sys-subsystem-net-devices-%s.device\nAfter=sys-subsystem-net-devices-%s.device\n", unitEscape(d), unitEscape(d))
	}
	_, _ = fmt.Fprintf(&b, "After=local-fs.target sys-fs-bpf.mount\nConditionPathExists=!%s\n\n", strings.ReplaceAll(filepath.Clean(u.Kill), "%", "%%"))
	_, _ = fmt.Fprintf(&b, "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=%s\n\n", strings.Join(start, " "))
	_, _ = fmt.Fprintf(&b, "[Install]\nWantedBy=multi-user.target\n")
	return b.String(), nil
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(s) + `"`
}

// unitEscape writes a name as systemd does in the names of units.
func unitEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
