package flame

//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type stack_key -type stack_count -type user_stack -type area -type table_row -type process_tables -type wish -go-package flame -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" prog flame.bpf.c -- -I../../../bpf/include
