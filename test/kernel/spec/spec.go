// Package spec describes one boot: what the machine writes into the initrd and
// the guest's first process reads there.
package spec

// Places inside the initrd.
const (
	// File holds the Spec as JSON.
	File = "/bearcat/spec.json"
	// ModuleDir holds the modules that bring up the root file system.
	ModuleDir = "/bearcat/modules"
	// ModuleOrder lists the files of ModuleDir in the order of loading.
	ModuleOrder = "/bearcat/modules.order"
)

// Names of the virtio-serial ports and of the virtiofs shares.
const (
	PortStdout = "bearcat.stdout"
	PortStderr = "bearcat.stderr"
	PortStatus = "bearcat.status"
	ShareRoot  = "bearcat-root"
	ShareWrite = "bearcat-write"
)

// EnvVM is the variable that holds the kernel's name in a guest, and only there.
const EnvVM = "BEARCAT_VM"

// Spec says what a guest is to run and what it needs around it.
type Spec struct {
	// Kernel is the kernel's name in the table, such as "6.1".
	Kernel string
	// Command is the program and its arguments.
	Command []string
	// Env is the command's whole environment; EnvVM is added to it.
	Env []string
	// Dir is the command's working directory.
	Dir string
	// ModuleTree is the machine's directory to show as /lib/modules/RELEASE.
	ModuleTree string
	// Image is the machine's file of the kernel, to show as /boot/vmlinuz-RELEASE.
	Image string
	// Modules are loaded before the command starts.
	Modules []string
	// Writable is a directory of the machine that the guest may write, or "".
	Writable string
	// HostTmp shows the machine's /tmp (overlaid) and not an empty tmpfs.
	HostTmp bool
	// Keep lists directories below /tmp that stay visible under the tmpfs.
	Keep []string
}
