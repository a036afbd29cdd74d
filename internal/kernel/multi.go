package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// ErrNoMulti says that the kernel attaches a tracing program to one function only:
// one link for many came with Linux 7.2.
var ErrNoMulti = errors.New("this kernel has no links of one program to many functions (since 7.2)")

// FexitMulti returns the attach type of programs that run on the return of many
// functions, by the kernel's own types; ErrNoMulti where it has none.
func FexitMulti(types *btf.Spec) (ebpf.AttachType, error) {
	var kinds *btf.Enum
	if err := types.TypeByName("bpf_attach_type", &kinds); err != nil {
		return 0, fmt.Errorf("looking the kinds of links up in the kernel's types: %w", err)
	}
	for _, v := range kinds.Values {
		if v.Name == "BPF_TRACE_FEXIT_MULTI" {
			return ebpf.AttachType(v.Value), nil
		}
	}
	return 0, ErrNoMulti
}

// linkCreateMulti is what BPF_LINK_CREATE takes for such programs (struct
// link_create of union bpf_attr in include/uapi/linux/bpf.h).
type linkCreateMulti struct {
	prog, target, attachType, flags uint32
	ids, cookies                    unsafe.Pointer
	count, _                        uint32
}

// AttachMulti attaches a program of the type FexitMulti to functions, given by
// their numbers in the kernel's types, with one link for all. The program is given
// the cookie with each of them.
func AttachMulti(event, name string, stream uint8, prog *ebpf.Program, kind ebpf.AttachType, functions []btf.TypeID, cookie uint64) (*Hook, error) {
	if len(functions) == 0 {
		return nil, fmt.Errorf("attaching %s for %s events: no function is given", name, event)
	}
	cookies := slices.Repeat([]uint64{cookie}, len(functions))
	attr := &linkCreateMulti{
		prog: uint32(prog.FD()), attachType: uint32(kind),
		ids: unsafe.Pointer(unsafe.SliceData(functions)), cookies: unsafe.Pointer(unsafe.SliceData(cookies)), count: uint32(len(functions)),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return nil, fmt.Errorf("attaching %s for %s events to %d functions: %w", name, event, len(functions), errno)
	}
	return &Hook{Event: event, Name: name, Stream: stream, prog: prog, link: os.NewFile(fd, name)}, nil
}
