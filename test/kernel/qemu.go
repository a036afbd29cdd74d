package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

// commandLine is what every guest's kernel gets: a console to look at after a
// crash, a panic that ends QEMU, and none of the waits that emulation makes long.
const commandLine = "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic nokaslr mitigations=off " +
	"random.trust_cpu=on tsc=reliable no_timer_check"

// arguments is QEMU's command line.
func (b *boot) arguments() []string {
	machine := []string{"-machine", "q35,memory-backend=mem", "-cpu", "max", "-accel"}
	if b.Counted {
		machine = append(machine, "tcg,thread=single", "-icount", "shift=0,sleep=off")
	} else if b.CPUs > 1 {
		// emulated CPUs in parallel threads now and then crash a guest that
		// patches its own text, as tracing does
		machine = append(machine, "tcg,thread=single")
	} else {
		machine = append(machine, "tcg,thread=multi")
	}
	size := strconv.Itoa(b.Memory) + "M"
	args := append(machine,
		"-smp", strconv.Itoa(b.CPUs), "-m", size,
		"-object", "memory-backend-memfd,id=mem,share=on,size="+size,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", b.tree.Image(), "-initrd", b.path("initrd"),
		"-append", strings.TrimSpace(commandLine+" "+b.Append),
		"-chardev", "file,id=console,path="+b.path("console"), "-serial", "chardev:console",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=1",
		"-device", "virtio-serial-pci",
	)
	// two network cards, joined to each other and to nothing else: a guest has no use for
	// them until it loads their driver
	for _, card := range []string{"wire0", "wire1"} {
		args = append(args, "-netdev", "hubport,hubid=0,id="+card, "-device", "virtio-net-pci,romfile=,netdev="+card)
	}
	for i, p := range []struct{ name, file string }{
		{spec.PortStdout, "/dev/fd/3"}, {spec.PortStderr, "/dev/fd/4"}, {spec.PortStatus, b.path("status")},
	} {
		id := "port" + strconv.Itoa(i)
		args = append(args, "-chardev", "file,append=on,id="+id+",path="+p.file,
			"-device", "virtserialport,chardev="+id+",name="+p.name)
	}
	args = append(args, b.shareArguments(spec.ShareRoot)...)
	if b.Writable != "" {
		args = append(args, b.shareArguments(spec.ShareWrite)...)
	}
	return args
}

func (b *boot) shareArguments(tag string) []string {
	return []string{
		"-chardev", "socket,id=" + tag + ",path=" + b.path(tag+".sock"),
		"-device", "vhost-user-fs-pci,chardev=" + tag + ",tag=" + tag,
	}
}

// startShares starts the file servers and waits until they listen.
func (b *boot) startShares(ctx context.Context) error {
	daemon, err := virtiofsd()
	if err != nil {
		return err
	}
	if err := os.Mkdir(b.path("root"), 0o755); err != nil {
		return fmt.Errorf("making the shared root: %w", err)
	}
	// in a mount namespace of its own, / is bound read-only, so that no guest
	// can change the machine; other file systems join it where they are needed
	script := "set -e\nmount --make-rprivate /\nbind() { mount --bind \"$1\" \"$2\"; mount -o remount,bind,ro \"$2\"; }\n" +
		"root=$1; shift; daemon=$1; shift; socket=$1; shift\nbind / \"$root\"\n" +
		"for d; do bind \"$d\" \"$root$d\"; done\n" +
		"exec \"$daemon\" --socket-path=\"$socket\" -o source=\"$root\" -o cache=always -o sandbox=chroot -o log_level=err\n"
	args := append([]string{"-c", script, "sh", b.path("root"), daemon, b.path(spec.ShareRoot + ".sock")},
		otherFileSystems(b.visible)...)
	if err := b.startShare(ctx, spec.ShareRoot, syscall.CLONE_NEWNS, "sh", args...); err != nil {
		return err
	}
	if b.Writable == "" {
		return nil
	}
	return b.startShare(ctx, spec.ShareWrite, 0, daemon, "--socket-path="+b.path(spec.ShareWrite+".sock"),
		"-o", "source="+b.Writable, "-o", "cache=auto", "-o", "sandbox=chroot", "-o", "log_level=err")
}

func (b *boot) startShare(ctx context.Context, tag string, namespaces uintptr, program string, args ...string) error {
	said, err := os.Create(b.path(tag + ".log"))
	if err != nil {
		return fmt.Errorf("making the file server's log: %w", err)
	}
	defer said.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = dieWithParent()
	cmd.SysProcAttr.Cloneflags = namespaces
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the file server: %w", err)
	}
	d := &daemon{cmd, make(chan struct{})}
	go func() { cmd.Wait(); close(d.ended) }()
	b.daemons = append(b.daemons, d)
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		if exists(b.path(tag + ".sock")) {
			return nil
		}
		select {
		case <-d.ended:
			text, _ := os.ReadFile(said.Name())
			return fmt.Errorf("the file server virtiofsd ended at once: %s", lastLines(string(text), 5))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("the file server virtiofsd does not listen: try again on a quieter machine")
}

// daemon is a program that serves a guest and ends with it.
type daemon struct {
	*exec.Cmd
	ended chan struct{}
}

func (d *daemon) stop() {
	d.Process.Kill()
	<-d.ended
}

func virtiofsd() (string, error) {
	for _, p := range []string{"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"} {
		if exists(p) {
			return p, nil
		}
	}
	return "", errors.New("no virtiofsd: install qemu-system-common, or virtiofsd on newer systems")
}

// otherFileSystems returns those directories that binding / alone does not show.
func otherFileSystems(dirs []string) []string {
	var root, st syscall.Stat_t
	if syscall.Stat("/", &root) != nil {
		return nil
	}
	var others []string
	for _, d := range dirs {
		if syscall.Stat(d, &st) == nil && st.Dev != root.Dev {
			others = append(others, d)
		}
	}
	return others
}

// dieWithParent keeps guests from outliving the program that started them.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
