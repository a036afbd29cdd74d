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
	else if ((o->file.mode & S_IFMT) == S_IFSOCK)
		bc_fill_sock(s, &o->sock, f);
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
