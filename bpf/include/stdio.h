/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What file descriptors 0, 1 and 2 are, down to the ends of a socket. */
#ifndef BEARCAT_STDIO_H
#define BEARCAT_STDIO_H

#include "path.h"
#include <bpf/bpf_endian.h>

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFSOCK 0140000
#define PIPEFS_MAGIC 0x50495045
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* Copies a unix socket's name behind w.off; its length without the family. */
static __always_inline u32 bc_unix_name(struct bc_scratch *s, struct sock *sk)
{
	struct unix_address *a = BPF_CORE_READ((struct unix_sock *)sk, addr);
	u32 off = s->w.off;
	int len;

	if (!a)
		return 0;
	len = BPF_CORE_READ(a, len) - 2;
	if (len <= 0)
		return 0;
	if (len > 108)
		len = 108;
	off &= BC_BUF - 1;
	bc_opaque(off);
	off &= BC_BUF - 1;
	bpf_probe_read_kernel(&s->data[off], len & 127,
			      (void *)a + bpf_core_field_offset(struct unix_address, name) + 2);
	s->w.off = off + (len & 127);
	return len & 127;
}

static __always_inline void bc_fill_sock(struct bc_scratch *s, struct bc_sock *o, struct file *f)
{
	struct socket *so = BPF_CORE_READ(f, private_data);
	struct sock *sk = BPF_CORE_READ(so, sk);

	o->type = BPF_CORE_READ(so, type);
	if (!sk)
		return;
	o->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	o->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (bpf_core_field_size(sk->sk_protocol) == 2)
		o->proto = BPF_CORE_READ(sk, sk_protocol);
	if (o->family == AF_INET || o->family == AF_INET6) {
		/* not skc_num, which is 0 again after a connect that failed */
		o->lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
		o->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	}
	if (o->family == AF_INET) {
		bpf_core_read(o->laddr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(o->raddr, 4, &sk->__sk_common.skc_daddr);
	} else if (o->family == AF_INET6) {
		if (bpf_core_field_exists(sk->__sk_common.skc_v6_rcv_saddr)) {
			bpf_core_read(o->laddr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
			bpf_core_read(o->raddr, 16, &sk->__sk_common.skc_v6_daddr);
		}
	} else if (o->family == AF_UNIX && bpf_core_type_exists(struct unix_sock)) {
		struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);

		o->llen = bc_unix_name(s, sk);
		if (peer)
			o->rlen = bc_unix_name(s, peer);
	}
}

/* Puts the files behind descriptors 0 to 2 into w.fds. */
static __always_inline void bc_get_fds(struct bc_scratch *s, struct files_struct *files)
{
	struct fdtable *fdt;

	s->w.fds[0] = 0;
	s->w.fds[1] = 0;
	s->w.fds[2] = 0;
	if (!files)
		return;
	fdt = files->fdt;
	/* The kernel never makes a table of fewer than 64 descriptors. */
	if (fdt->max_fds >= 3)
		bpf_probe_read_kernel(s->w.fds, sizeof(s->w.fds), fdt->fd);
}

/* Describes descriptor n (0 to 2) in the record; leaves a path to walk in
 * w.dentry and w.mnt, and returns 1 where there is one. */
__noinline int bc_stdio_one(u32 slot, u32 n)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_exec *e;
	struct bc_stdio *o;
	struct file *f;
	struct inode *i;

	if (!s || n > 2)
		return 0;
	e = (struct bc_exec *)s->data;
	o = &e->fd[n];
	__builtin_memset(o, 0, sizeof(*o));
	f = (struct file *)s->w.fds[n];
	if (!f)
		return 0;
	o->open = 1;
	if (n > 0 && (u64)f == s->w.fds[0])
		o->open = 2;
	else if (n > 1 && (u64)f == s->w.fds[1])
		o->open = 3;
	if (o->open != 1)
		return 0;
	i = BPF_CORE_READ(f, f_inode);
	o->inode = BPF_CORE_READ(i, i_ino);
	o->mode = BPF_CORE_READ(i, i_mode);
	o->rdev = BPF_CORE_READ(i, i_rdev);
	o->magic = BPF_CORE_READ(i, i_sb, s_magic);
	if ((o->mode & S_IFMT) == S_IFSOCK) {
		bc_fill_sock(s, &o->sock, f);
		return 0;
	}
	if ((o->mode & S_IFMT) == S_IFIFO && o->magic == PIPEFS_MAGIC)
		return 0;
	s->w.dentry = (u64)BPF_CORE_READ(f, f_path.dentry);
	s->w.mnt = (u64)BPF_CORE_READ(f, f_path.mnt);
	return 1;
}

#endif
