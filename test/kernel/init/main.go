// Command init is the first process of a kernel test's guest. It brings up the
// machine's root file system under an overlay in memory, runs the one command
// that the boot's description names, and hands back its output and exit status
// over virtio-serial ports before it switches the guest off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init is the first process of a guest: start one with vmrun")
		os.Exit(2)
	}
	if err := guest(); err != nil {
		note("%v", err)
	}
	switchOff()
}

// note writes to the guest's console, which the machine shows when a guest ends
// without a status.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stdout, "guest init: "+format+"\n", args...)
}

func guest() error {
	if err := firstMounts(); err != nil {
		return err
	}
	s, err := readSpec()
	if err != nil {
		return err
	}
	if err := loadBootModules(); err != nil {
		return err
	}
	if err := switchRoot(); err != nil {
		return err
	}
	if err := laterMounts(s); err != nil {
		return err
	}
	setUp(s)
	out, err := openPorts()
	if err != nil {
		return err
	}
	loadModules(s.Modules, out.stderr)
	status := runCommand(s, out)
	if s.Writable != "" {
		if err := unix.Unmount(s.Writable, 0); err != nil {
			note("unmounting the writable directory: %v", err)
		}
	}
	if _, err := out.status.WriteString(strconv.Itoa(status) + "\n"); err != nil {
		return fmt.Errorf("handing back the status: %w", err)
	}
	return nil
}

func readSpec() (spec.Spec, error) {
	var s spec.Spec
	b, err := os.ReadFile(spec.File)
	if err != nil {
		return s, fmt.Errorf("reading the boot's description: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("reading the boot's description: %w", err)
	}
	return s, nil
}

func loadBootModules() error {
	order, err := os.ReadFile(spec.ModuleOrder)
	if err != nil {
		return fmt.Errorf("reading the order of modules: %w", err)
	}
	for _, name := range strings.Fields(string(order)) {
		f, err := os.Open(spec.ModuleDir + "/" + name)
		if err != nil {
			return fmt.Errorf("opening module %s: %w", name, err)
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("loading module %s: %w", name, err)
		}
	}
	return nil
}

// loadModules loads what the command asked for. A module that is not there is
// reported and left out: the command sees for itself.
func loadModules(names []string, report *os.File) {
	for _, m := range names {
		if out, err := exec.Command("modprobe", m).CombinedOutput(); err != nil {
			fmt.Fprintf(report, "guest init: loading module %s: %v: %s\n", m, err, strings.TrimSpace(string(out)))
		}
	}
}

// setUp gives the guest a name, an address for itself and a search path.
func setUp(s spec.Spec) {
	if err := unix.Sethostname([]byte("bearcat-" + strings.ReplaceAll(s.Kernel, ".", "-"))); err != nil {
		note("setting the host name: %v", err)
	}
	if err := loopbackUp(); err != nil {
		note("bringing up the loopback device: %v", err)
	}
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// switchOff ends the guest: at once through QEMU's exit port, or else by ACPI.
func switchOff() {
	unix.Sync()
	if f, err := os.OpenFile("/dev/port", os.O_WRONLY, 0); err == nil {
		f.WriteAt([]byte{0}, 0xf4)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
