//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Lists the open files of all processes, each as the programs for calls describe
 * one: a struct bc_listed and a section BC_SEC_FD.
 */
#define BC_WALK_SHORT
#include "vmlinux.h"
#include "record.h"
#include "scratch.h"
#include "section.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Members that the common types do without. */
struct file___pos {
	s64 f_pos;
} __attribute__((preserve_access_index));

struct net___queue {
	struct {
		u32 inum;
	} ns;
} __attribute__((preserve_access_index));

struct sock_common___queue {
	struct {
		struct net___queue *net;
	} skc_net;
} __attribute__((preserve_access_index));

struct count___queue {
	int counter;
} __attribute__((preserve_access_index));

/* 6.18 (commit c51613fa276f "net: add sk->sk_drop_counters"): sockets that many processors
 * feed count their drops in two places. */
struct numa_drop_counters___queue {
	struct count___queue drops0, drops1;
} __attribute__((preserve_access_index));

struct sock___queue {
	struct sock_common___queue __sk_common;
	struct {
		struct count___queue rmem_alloc;
	} sk_backlog;
	struct {
		struct count___queue refs;
	} sk_wmem_alloc;
	struct count___queue sk_drops;
	struct numa_drop_counters___queue *sk_drop_counters;
} __attribute__((preserve_access_index));

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
} __attribute__((preserve_access_index));

/* keeps the type for the Go side */
const struct bc_listed *bc_unused_listed __attribute__((unused));

#define CELLS 512 /* a power of two */

/* Whose path has been told. */
struct told {
	u64 dentry, mnt, root, inode;
};

static struct told paths[CELLS];

/* The kernel gives dentries by cache lines. */
static __always_inline u32 cell_of(u64 a)
{
	return ((a >> 6) ^ (a >> 17)) & (CELLS - 1);
}

/* The path of f for a process, unless it has been told. */
static __always_inline void put_path(struct bc_scratch *s, struct bc_listed *r, struct bc_fd *o,
				     struct task_struct *t, struct file *f)
{
	struct told *c;
	u64 dentry, mnt;

	r->dentry = (u64)f->f_path.dentry;
	r->mnt = (u64)f->f_path.mnt;
	r->root = (u64)t->fs->root.dentry;
	s->w.root_mnt = (u64)t->fs->root.mnt - bpf_core_field_offset(struct mount, mnt);
	/* Read back from the record they are numbers, and no pointers to the verifier. */
	dentry = *(volatile u64 *)&r->dentry;
	mnt = *(volatile u64 *)&r->mnt;
	s->w.root_dentry = *(volatile u64 *)&r->root;
	c = &paths[cell_of(dentry)];
	r->told = c->dentry == dentry && c->mnt == mnt && c->root == s->w.root_dentry && c->inode == o->file.inode;
	if (!r->told)
		bc_walk(s, 0, &o->path, dentry, mnt);
}

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* The queues of sockets of other kinds than sock_diag is asked about. */
static __always_inline void put_queue(struct bc_listed *r, struct bc_sock *o, struct file *f)
{
	struct socket *so = BPF_CORE_READ(f, private_data);
	struct sock___queue *sk = (void *)BPF_CORE_READ(so, sk);
	struct numa_drop_counters___queue *c = NULL;

	if (!sk || o->family == AF_UNIX ||
	    ((o->family == AF_INET || o->family == AF_INET6) &&
	     (o->proto == IPPROTO_TCP || o->proto == IPPROTO_UDP)))
		return;
	r->queue = 1;
	r->receive = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	/* The socket itself counts as one byte, for as long as it lives. */
	r->send = BPF_CORE_READ(sk, sk_wmem_alloc.refs.counter) - 1;
	r->net_ns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (bpf_core_field_exists(sk->sk_drop_counters))
		c = BPF_CORE_READ(sk, sk_drop_counters);
	if (c)
		r->drops = BPF_CORE_READ(c, drops0.counter) + BPF_CORE_READ(c, drops1.counter);
	else
		r->drops = BPF_CORE_READ(sk, sk_drops.counter);
}

SEC("iter/task_file")
int bc_on_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task, *leader;
	struct file *f = ctx->file;
	struct bc_scratch *s;
	struct bc_listed *r;
	struct bc_sec *h;
	struct bc_fd *o;
	u32 slot = 0, len;
	bool path;

	if (!t || !f)
		return 0;
	s = bpf_map_lookup_elem(&scratch, &slot);
	if (!s)
		return 0;
	leader = t->group_leader;
	r = (struct bc_listed *)s->data;
	h = (struct bc_sec *)(r + 1);
	o = (struct bc_fd *)(h + 1);
	__builtin_memset(r, 0, sizeof(*r) + sizeof(*h) + sizeof(*o));
	r->key.pid = t->tgid;
	r->key.start = leader->start_boottime;
	r->pos = ((struct file___pos *)f)->f_pos;
	r->tid = t->pid;
	h->tag = BC_SEC_FD;
	o->num = ctx->fd;
	o->open = 1;
	o->fmode = f->f_mode;
	o->fflags = f->f_flags;
	bc_fill_file(&o->file, f);
	o->file.rdev = f->f_inode->i_rdev;
	s->w.path_max = BC_CALL_PATH_BYTES;
	s->w.off = sizeof(*r) + sizeof(*h) + sizeof(*o);
	path = (o->file.mode & S_IFMT) != S_IFSOCK && ((o->file.mode & S_IFMT) != S_IFIFO || o->file.magic != PIPEFS_MAGIC);
	if (path)
		put_path(s, r, o, t, f);
	if ((o->file.mode & S_IFMT) == S_IFSOCK) {
		bc_fill_sock(s, &o->sock, f);
		put_queue(r, &o->sock, f);
	}
	len = s->w.off;
	bc_opaque(len);
	if (len > BC_BUF)
		len = BC_BUF;
	r->len = len;
	h->len = len - sizeof(*r) - sizeof(*h);
	/* The kernel shows what found no room once more, and then it is not told yet. */
	if (bpf_seq_write(ctx->meta->seq, r, len) || !path || r->told)
		return 0;
	struct told *c = &paths[cell_of(r->dentry)];

	c->dentry = r->dentry;
	c->mnt = r->mnt;
	c->root = r->root;
	c->inode = o->file.inode;
	return 0;
}
