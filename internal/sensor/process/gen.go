package process

// The object is for both byte orders' most common case only: it reads no
// registers, so one little-endian build serves amd64 and arm64.
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type bc_path -type bc_stdio -type bc_sock -go-package process -type bc_exec -type bc_fork -type bc_exit -type bc_comm -type bc_chunk -type bc_counter -type bc_mark -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" prog process.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type bc_brief -go-package process -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" list list.bpf.c -- -I../../../bpf/include
