/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where the kernel's structures differ between the versions that Bearcat
 * supports (5.10 to 7.x). One fix a difference, with the change that made it.
 */
#ifndef BEARCAT_CORE_FIXES_H
#define BEARCAT_CORE_FIXES_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define preserve __attribute__((preserve_access_index))

struct timespec64___bc {
	s64 tv_sec;
	long tv_nsec;
} preserve;

/* Up to 6.5: i_mtime and i_ctime are timespec64. */
struct inode___ts {
	struct timespec64___bc i_mtime;
	struct timespec64___bc i_ctime;
} preserve;

/* 6.6 (commit 13bc24457850 "fs: rename i_ctime field to __i_ctime" and its
 * sister for the others): __i_ctime, then __i_mtime in 6.7. */
struct inode___under_ctime {
	struct timespec64___bc __i_ctime;
} preserve;

struct inode___under_mtime {
	struct timespec64___bc __i_mtime;
} preserve;

/* 6.11 (commit 3aa63a569c64 "fs: switch timespec64 fields in inode to
 * discrete integers"). */
struct inode___split {
	s64 i_mtime_sec;
	u32 i_mtime_nsec;
	s64 i_ctime_sec;
	u32 i_ctime_nsec;
} preserve;

#define NSEC 1000000000LL

/*
 * These load directly, so i must be a pointer that the verifier tracks. A
 * helper call would cost ten times as much.
 */
static __always_inline s64 fix_inode_mtime(struct inode *i)
{
	struct inode___split *s = (void *)i;
	struct inode___under_mtime *u = (void *)i;
	struct inode___ts *t = (void *)i;

	if (bpf_core_field_exists(s->i_mtime_sec))
		return s->i_mtime_sec * NSEC + s->i_mtime_nsec;
	if (bpf_core_field_exists(u->__i_mtime))
		return u->__i_mtime.tv_sec * NSEC + u->__i_mtime.tv_nsec;
	if (bpf_core_field_exists(t->i_mtime))
		return t->i_mtime.tv_sec * NSEC + t->i_mtime.tv_nsec;
	return 0;
}

static __always_inline s64 fix_inode_ctime(struct inode *i)
{
	struct inode___split *s = (void *)i;
	struct inode___under_ctime *u = (void *)i;
	struct inode___ts *t = (void *)i;

	if (bpf_core_field_exists(s->i_ctime_sec))
		return s->i_ctime_sec * NSEC + s->i_ctime_nsec;
	if (bpf_core_field_exists(u->__i_ctime))
		return u->__i_ctime.tv_sec * NSEC + u->__i_ctime.tv_nsec;
	if (bpf_core_field_exists(t->i_ctime))
		return t->i_ctime.tv_sec * NSEC + t->i_ctime.tv_nsec;
	return 0;
}

/* 6.15 (commit 633488947ef6 "kernfs: Use RCU to access kernfs_node::parent")
 * renamed parent to __parent. */
struct kernfs_node___old {
	struct kernfs_node *parent;
} preserve;

struct kernfs_node___new {
	struct kernfs_node *__parent;
} preserve;

static __always_inline u64 fix_kernfs_parent(u64 kn)
{
	struct kernfs_node___new *n = (void *)kn;
	struct kernfs_node___old *o = (void *)kn;

	if (bpf_core_field_exists(n->__parent))
		return (u64)BPF_CORE_READ(n, __parent);
	return (u64)BPF_CORE_READ(o, parent);
}

/*
 * Pairs and triples of members that a walk needs are neighbours on every
 * kernel so far: one read fetches them all. Where they are not, each is read
 * by itself.
 */
struct bc_dentry {
	u64 parent;
	struct qstr name;
};

static __always_inline int fix_read_dentry(struct bc_dentry *o, u64 dentry)
{
	struct dentry *d = (struct dentry *)dentry;

	if (bpf_core_field_offset(struct dentry, d_name) ==
	    bpf_core_field_offset(struct dentry, d_parent) + 8)
		return bpf_core_read(o, sizeof(*o), &d->d_parent);
	if (bpf_core_read(&o->parent, 8, &d->d_parent))
		return -1;
	return bpf_core_read(&o->name, sizeof(o->name), &d->d_name);
}

/* 5.11 (commit 3ca1032ab7ab "bpf: Implement get_current_task_btf and RET_PTR_TO_BTF_ID"):
 * what the task leads to is read by plain loads. */
enum bpf_func_id___bc {
	BPF_FUNC_get_current_task_btf___bc = 158,
};

static __always_inline bool fix_has_task_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___bc, BPF_FUNC_get_current_task_btf___bc);
}

struct bc_mount {
	u64 parent;
	u64 mountpoint;
	u64 root;
};

static __always_inline int fix_read_mount(struct bc_mount *o, u64 mount)
{
	struct mount *m = (struct mount *)mount;

	if (bpf_core_field_offset(struct mount, mnt_mountpoint) ==
		    bpf_core_field_offset(struct mount, mnt_parent) + 8 &&
	    bpf_core_field_offset(struct mount, mnt.mnt_root) ==
		    bpf_core_field_offset(struct mount, mnt_parent) + 16)
		return bpf_core_read(o, sizeof(*o), &m->mnt_parent);
	o->parent = (u64)BPF_CORE_READ(m, mnt_parent);
	o->mountpoint = (u64)BPF_CORE_READ(m, mnt_mountpoint);
	return bpf_core_read(&o->root, 8, &m->mnt.mnt_root);
}

/* 7.0 put a filename's fields into a struct of their own; the name is still the
 * first. The opcode, and where the result is, moved with 5.19 (commit
 * cef216fc32d7 "io_uring: explicitly keep a CQE in io_kiocb"). */
struct filename___old {
	const char *name;
} preserve;

static __always_inline u64 fix_filename(struct filename *f)
{
	struct filename___old *o = (void *)f;
	u64 name = 0;

	if (bpf_core_field_exists(o->name))
		return (u64)BPF_CORE_READ(o, name);
	bpf_probe_read_kernel(&name, sizeof(name), (void *)f);
	return name;
}

/* 7.0 wraps the names of requests, which are copied early and completed late
 * (struct delayed_filename); the pointer is the same. */
struct delayed_filename {
	struct filename *__incomplete_filename;
} preserve;

struct io_open___delayed {
	struct delayed_filename filename;
} preserve;

struct io_unlink___delayed {
	struct delayed_filename filename;
} preserve;

struct io_mkdir___delayed {
	struct delayed_filename filename;
} preserve;

struct io_rename___delayed {
	struct delayed_filename oldpath, newpath;
} preserve;

struct io_link___delayed {
	struct delayed_filename oldpath, newpath;
} preserve;

#define fix_uring_name(req, type, field)                                                           \
	(bpf_core_type_exists(struct delayed_filename)                                             \
		 ? BPF_CORE_READ((struct type##___delayed *)(req), field.__incomplete_filename)    \
		 : BPF_CORE_READ((struct type *)(req), field))

struct io_cqe___new {
	s32 res;
	u32 flags; /* of the result; before there is one, the descriptor */
} preserve;

struct io_kiocb___new {
	u8 opcode;
	struct io_cqe___new cqe;
} preserve;

struct io_kiocb___old {
	u8 opcode;
	s32 result;
} preserve;

static __always_inline u8 fix_uring_opcode(u64 req)
{
	return BPF_CORE_READ((struct io_kiocb___new *)req, opcode);
}

/* The descriptor of an operation that has not been tried; -1 before 5.19, which
 * does not keep it. */
static __always_inline s32 fix_uring_fd(u64 req)
{
	struct io_kiocb___new *n = (void *)req;

	if (bpf_core_field_exists(n->cqe))
		return BPF_CORE_READ(n, cqe.flags);
	return -1;
}

/* The result of an operation. */
static __always_inline s32 fix_uring_res(u64 req)
{
	struct io_kiocb___new *n = (void *)req;
	struct io_kiocb___old *o = (void *)req;

	if (bpf_core_field_exists(n->cqe))
		return BPF_CORE_READ(n, cqe.res);
	return BPF_CORE_READ(o, result);
}

struct bc_caps {
	u64 inheritable, permitted, effective, bounding, ambient;
};

static __always_inline void fix_read_caps(struct bc_caps *o, const struct cred *c)
{
	if (bpf_core_field_offset(struct cred, cap_ambient) ==
	    bpf_core_field_offset(struct cred, cap_inheritable) + 32) {
		bpf_core_read(o, sizeof(*o), &c->cap_inheritable);
		return;
	}
	bpf_core_read(&o->inheritable, 8, &c->cap_inheritable);
	bpf_core_read(&o->permitted, 8, &c->cap_permitted);
	bpf_core_read(&o->effective, 8, &c->cap_effective);
	bpf_core_read(&o->bounding, 8, &c->cap_bset);
	bpf_core_read(&o->ambient, 8, &c->cap_ambient);
}

/*
 * A task whose fields are only read. For each pointer that is read through one that it
 * trusts, a newer verifier searches all types of the kernel by name, which for the
 * iterator of tasks was half of the time that it took to load. The cast gives a pointer
 * that is not trusted; kernels before a35b9af4ec2c (6.2) have no such cast and no
 * such search.
 */
void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym __weak;

static __always_inline struct task_struct *fix_plain_task(struct task_struct *t)
{
	if (bpf_rdonly_cast)
		return bpf_rdonly_cast(t, bpf_core_type_id_kernel(struct task_struct));
	return t;
}

#endif
