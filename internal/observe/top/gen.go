package top

//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type cpu_stat -type mem_stat -type file_key -type file_stat -type path_key -type file_path -type tcp_seen -type tcp_whose -type tcp_conn -type tcp_end_key -type pair_key -type pair -type who -type run -type runs -type interval -go-package top -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" prog top.bpf.c -- -I../../../bpf/include
