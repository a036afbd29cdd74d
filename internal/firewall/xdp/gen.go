package xdp

//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -go-package xdp -cflags "-O2 -g -Wall -Werror -mcpu=v3 -DFW_OUT -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" egress fw.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type fw_config -type fw_control -type fw_rule -type fw_count -type fw_block -type fw_frame -type fw_name -type fw_ban -type fw_guard -type fw_guards -type fw_log -go-package xdp -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" prog fw.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -go-package xdp -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" guard guard.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -go-package xdp -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" scan scan.bpf.c -- -I../../../bpf/include
