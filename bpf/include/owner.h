/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which process a socket belongs to. A packet is often seen in an interrupt, while
 * another process runs: so the owner is noted where a process makes or uses the
 * socket, and found again by the number of the socket's inode.
 */
#ifndef BEARCAT_OWNER_H
#define BEARCAT_OWNER_H

#include "chosen.h"
#include "net.h"
#include <bpf/bpf_tracing.h>

#define OWNERS 65536
#define IS_SOCKET 0140000
#define KIND_OF_FILE 0170000
#define TIME_WAIT 6
#define NEW_SYN_RECV 12

struct owner {
	u32 tgid;
	char comm[16];
	u32 wanted; /* it is among those that are asked for */
};

const volatile u32 only_net = 0; /* a network namespace's number; 0 for all */
const volatile u8 choose = 0;    /* some owners are asked for: kernel.Choice */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, OWNERS);
	__type(key, u64);
	__type(value, struct owner);
} owners SEC(".maps");

/* Which open file a process has used last as a socket, by the file's address: programs use
 * the same one again and again, and its owner is known then. */
#define USES 8192

struct use {
	u64 file;
	u64 exec; /* how often the process has run another program */
	u32 tgid;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, USES);
	__type(key, u32);
	__type(value, struct use);
} uses SEC(".maps");

static __always_inline bool used_before(struct file *f, u64 exec, bool anew)
{
	u32 slot = ((u64)f >> 6) % USES, tgid = bpf_get_current_pid_tgid() >> 32;
	struct use *u = bpf_map_lookup_elem(&uses, &slot);

	if (!u)
		return false;
	if (u->file == (u64)f && u->tgid == tgid && u->exec == exec && !anew)
		return true;
	u->file = (u64)f;
	u->exec = exec;
	u->tgid = tgid;
	return false;
}

static __always_inline void note_owner(struct task_struct *t, struct file *f, u64 flags)
{
	struct owner o = {};
	struct socket *so;
	struct sock___bc *sk;
	u64 inode;

	if ((BPF_CORE_READ(f, f_inode, i_mode) & KIND_OF_FILE) != IS_SOCKET)
		return;
	so = BPF_CORE_READ(f, private_data);
	sk = (struct sock___bc *)BPF_CORE_READ(so, sk);
	if (!sk || (only_net && net_of_socket(sk) != only_net))
		return;
	inode = BPF_CORE_READ(f, f_inode, i_ino);
	o.tgid = BPF_CORE_READ(t, tgid);
	BPF_CORE_READ_INTO(&o.comm, t, group_leader, comm);
	o.wanted = choose && chosen(t);
	bpf_map_update_elem(&owners, &inode, &o, flags);
}

/* Sockets that are there at the beginning. */
SEC("iter/task_file")
int owner_list(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;

	if (t && f)
		note_owner(t, f, BPF_NOEXIST);
	return 0;
}

struct task_struct___exec {
	struct files_struct *files;
	u64 self_exec_id;
} __attribute__((preserve_access_index));

/* The current process's open file of a number. 5.11 brought a helper by which it takes no
 * calls (commit 3ca1032ab7ab "bpf: Implement get_current_task_btf and RET_PTR_TO_BTF_ID"). */
static __always_inline struct file *file_of(long fd, u64 *exec)
{
	struct task_struct___exec *t;
	struct file **fds, *f = NULL;
	struct fdtable *fdt;
	u32 most;

	if (fd < 0)
		return NULL;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		t = (void *)bpf_get_current_task_btf();
		if (!t->files)
			return NULL;
		fdt = t->files->fdt;
		most = fdt->max_fds;
		fds = fdt->fd;
		*exec = t->self_exec_id;
	} else {
		t = (void *)bpf_get_current_task();
		fdt = BPF_CORE_READ(t, files, fdt);
		if (!fdt)
			return NULL;
		most = BPF_CORE_READ(fdt, max_fds);
		fds = BPF_CORE_READ(fdt, fd);
		*exec = BPF_CORE_READ(t, self_exec_id);
	}
	if (fd >= most)
		return NULL;
	bpf_probe_read_kernel(&f, sizeof(f), fds + fd);
	return f;
}

/* Sockets that a process makes or uses: the last one to do so owns it. */
SEC("tp_btf/sys_exit")
int BPF_PROG(owner_call, struct pt_regs *regs, long ret)
{
	struct file *f;
	bool anew = false;
	u64 exec = 0;
	long fd;

	switch (regs->orig_ax) {
	case 41: /* socket */
	case 43: /* accept */
	case 288: /* accept4 */
		fd = ret;
		anew = true;
		break;
	case 42: /* connect */
	case 44: /* sendto */
	case 45: /* recvfrom */
	case 46: /* sendmsg */
	case 47: /* recvmsg */
	case 49: /* bind */
	case 50: /* listen */
	case 299: /* recvmmsg */
	case 307: /* sendmmsg */
		fd = (int)regs->di;
		break;
	default:
		return 0;
	}
	f = file_of(fd, &exec);
	if (f && !used_before(f, exec, anew))
		note_owner((struct task_struct *)bpf_get_current_task(), f, BPF_ANY);
	return 0;
}

/* The number of a socket's inode; 0 where it is no whole socket, or no process's. */
static __always_inline u64 inode_of(struct sock___bc *sk)
{
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == TIME_WAIT || state == NEW_SYN_RECV)
		return 0;
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

static __always_inline struct owner *owner_of(struct sock___bc *sk)
{
	u64 inode = inode_of(sk);

	return inode ? bpf_map_lookup_elem(&owners, &inode) : NULL;
}

#endif
