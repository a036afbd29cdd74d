package call

//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type bc_call -type bc_sec -type bc_fd -type bc_sock -type bc_cred -type bc_path -type bc_file -type bc_insns -type bc_open_name -type bc_open_top -type bc_connect_net -type bc_connect_port -type bc_counter -type bc_desc -type bc_settings -type bc_mark -go-package call -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" prog call.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -go-package call -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" uring uring.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -go-package call -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" closing close.bpf.c -- -I../../../bpf/include
//go:generate go tool bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target bpfel -type bc_listed -go-package call -cflags "-O2 -g -Wall -Werror -mcpu=v3 -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu" files files.bpf.c -- -I../../../bpf/include
