//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Lists processes with what a table of them shows, many times faster than the
 * inventory: a path that a process before it had is not walked again. It is loaded for
 * one look, so what the verifier has to look at is kept small too.
 */
#define BC_WALK_SHORT
#include "core_fixes.h"
#include "path.h"
#include "record.h"
#include "scratch.h"
#include "task.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define LIST_PATH_BYTES 5120
#define CELLS 512 /* a power of two */

/* Whose path has been told: programs by dentry, mount and inode, control groups by id. */
struct told {
	u64 dentry, mnt, inode;
};

static struct told programs[CELLS];
static u64 groups[CELLS];
static u32 processes; /* with those that have ended and are not waited for */

/* keeps the type for the Go side */
const struct bc_brief *bc_unused_brief __attribute__((unused));

/* The kernel gives dentries by cache lines, and numbers to groups one after the other. */
static __always_inline u32 cell_of(u64 a)
{
	return ((a >> 6) ^ (a >> 17) ^ a) & (CELLS - 1);
}

static __always_inline int finish(struct seq_file *seq)
{
	struct bc_brief last = {};

	last.len = sizeof(last);
	last.flags = BC_BRIEF_LAST;
	last.pid = processes;
	bpf_seq_write(seq, &last, sizeof(last));
	return 0;
}

static __always_inline void put_program(struct bc_scratch *s, u32 slot, struct bc_brief *b, struct file *f)
{
	u64 dentry, mnt;
	u32 at;

	b->dentry = (u64)f->f_path.dentry;
	b->mnt = (u64)f->f_path.mnt;
	b->inode = f->f_inode->i_ino;
	/* Read back from the record it is a number, and no pointer to the verifier. */
	dentry = *(volatile u64 *)&b->dentry;
	mnt = *(volatile u64 *)&b->mnt;
	at = cell_of(dentry);
	if (programs[at].dentry == dentry && programs[at].mnt == mnt && programs[at].inode == b->inode)
		return;
	b->flags |= BC_BRIEF_EXE;
	b->nlink = f->f_inode->i_nlink;
	b->magic = f->f_inode->i_sb->s_magic;
	s->w.path_max = LIST_PATH_BYTES;
	s->w.root_dentry = 0;
	s->w.root_mnt = 0;
	bc_walk(s, slot, &b->exe, dentry, mnt);
}

static __always_inline void put_group(struct bc_scratch *s, u32 slot, struct bc_brief *b, struct task_struct *t)
{
	u32 start = s->w.off;
	bool v1 = false;
	struct kernfs_node *kn = bc_cgroup_of(t, &v1);

	b->cgroup = BPF_CORE_READ(kn, id);
	if (groups[cell_of(b->cgroup)] == b->cgroup && b->cgroup)
		return;
	b->flags |= BC_BRIEF_CGROUP;
	s->w.kn = (u64)kn;
	bc_cgroup_path(slot);
	b->cgroup_len = s->w.off - start;
}

static __always_inline void put_ids(struct bc_brief *b, struct task_struct *t)
{
	struct task_struct *parent = t->real_parent;
	const struct cred *c = t->cred;
	struct tty_struct *tty = t->signal->tty;
	struct nsproxy *n = t->nsproxy;

	b->pid = t->tgid;
	b->start = t->start_boottime;
	b->ppid = parent->tgid;
	b->parent_start = parent->group_leader->start_boottime;
	b->uid = c->uid.val;
	b->gid = c->gid.val;
	b->euid = c->euid.val;
	b->loginuid = ~0u;
	if (bpf_core_field_exists(t->loginuid))
		b->loginuid = t->loginuid.val;
	if (n) {
		b->mnt_ns = n->mnt_ns->ns.inum;
		b->net_ns = n->net_ns->ns.inum;
	}
	if (t->flags & PF_KTHREAD)
		b->flags |= BC_BRIEF_KTHREAD;
	bpf_probe_read_kernel(b->comm, sizeof(b->comm), t->comm);
	if (tty) {
		b->tty_dev = bc_tty_dev(tty);
		bpf_core_read(b->tty, sizeof(b->tty), &tty->name);
		b->tty[sizeof(b->tty) - 1] = 0;
	}
}

SEC("iter/task")
int bc_brief_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct bc_scratch *s;
	struct mm_struct *mm;
	struct bc_brief *b;
	u32 slot = 0, len, at;

	if (!t)
		return finish(ctx->meta->seq);
	t = fix_plain_task(t);
	if (t->pid != t->tgid)
		return 0;
	/* A zombie that its parent has not waited for is no process any more. */
	if (t->signal->live.counter == 0) {
		processes++;
		return 0;
	}
	s = bpf_map_lookup_elem(&scratch, &slot);
	if (!s)
		return 0;
	b = (struct bc_brief *)s->data;
	__builtin_memset(b, 0, sizeof(*b));
	s->w.off = sizeof(*b);
	put_ids(b, t);
	mm = t->mm;
	if (mm && mm->exe_file)
		put_program(s, slot, b, mm->exe_file);
	put_group(s, slot, b, t);
	len = s->w.off;
	bc_opaque(len);
	if (len > BC_BUF)
		len = BC_BUF;
	b->len = len;
	/* The kernel shows what found no room once more, and then it is not told yet. */
	if (bpf_seq_write(ctx->meta->seq, b, len))
		return 0;
	processes++;
	if (b->flags & BC_BRIEF_EXE) {
		at = cell_of(b->dentry);
		programs[at].dentry = b->dentry;
		programs[at].mnt = b->mnt;
		programs[at].inode = b->inode;
	}
	if (b->flags & BC_BRIEF_CGROUP)
		groups[cell_of(b->cgroup)] = b->cgroup;
	return 0;
}
