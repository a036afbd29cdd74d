/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The sections behind a struct bc_call: strings of the caller, files behind
 * descriptors, directories. Each is written by a global function, which the
 * verifier checks once; the current task is in w.task.
 */
#ifndef BEARCAT_SECTION_H
#define BEARCAT_SECTION_H

#include "stdio.h"
#include "task.h"

#define BC_CALL_PATH_BYTES 16384
#define BC_STR_MAX 4096
#define AT_FDCWD -100
#define BC_ROOT_MOUNTS 4 /* on top of each other */
#define BC_AT_ROOT -101 /* the process's root, in place of a descriptor */

/* Writes a section's head at w.off and moves w.off behind it; where. */
static __always_inline u32 bc_sec_begin(struct bc_scratch *s, u8 tag, u8 slot)
{
	u32 at = (s->w.off + 7) & ~7u;
	struct bc_sec *h;

	at &= BC_BUF - 1;
	bc_opaque(at);
	at &= BC_BUF - 1;
	h = (struct bc_sec *)&s->data[at];
	h->tag = tag;
	h->slot = slot;
	h->flags = 0;
	h->len = 0;
	s->w.off = at + sizeof(*h);
	return at;
}

static __always_inline void bc_sec_end(struct bc_scratch *s, u32 at, u16 flags)
{
	struct bc_sec *h;

	at &= BC_BUF - 1;
	bc_opaque(at);
	at &= BC_BUF - 1;
	h = (struct bc_sec *)&s->data[at];
	h->flags = flags;
	h->len = s->w.off - at - sizeof(*h);
}

/* Whether there is room for another section of any kind. */
static __always_inline bool bc_sec_room(struct bc_scratch *s)
{
	return s->w.off < BC_BUF - 3 * BC_SLACK;
}

/* The string at an address of the caller's. */
__noinline int bc_put_text(u32 slot, u64 addr, u32 which)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	u32 at, off;
	u16 flags = 0;
	u8 last = 0;
	long n;

	if (!s || !addr || !bc_sec_room(s))
		return 0;
	at = bc_sec_begin(s, BC_SEC_TEXT, which);
	off = s->w.off & (BC_BUF - 1);
	bc_opaque(off);
	off &= BC_BUF - 1;
	n = bpf_probe_read_user_str(&s->data[off], BC_STR_MAX, (void *)addr);
	if (n < 0)
		flags = BC_SEC_UNREADABLE;
	else if (n == BC_STR_MAX && (bpf_probe_read_user(&last, 1, (void *)(addr + n - 1)) || last))
		flags = BC_SEC_CUT;
	if (n > 0)
		s->w.off = off + (u32)n - 1;
	bc_sec_end(s, at, flags);
	return 0;
}

/* len bytes at an address of the caller's. */
__noinline int bc_put_bytes(u32 slot, u64 addr, u32 len, u32 tag)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	u32 at, off;
	u16 flags = 0;

	if (!s || !addr || !len || !bc_sec_room(s))
		return 0;
	at = bc_sec_begin(s, tag, 0);
	if (len > BC_STR_MAX) {
		len = BC_STR_MAX;
		flags = BC_SEC_CUT;
	}
	off = s->w.off & (BC_BUF - 1);
	bc_opaque(off);
	off &= BC_BUF - 1;
	len &= BC_SLACK - 1;
	bc_opaque(len);
	len &= BC_SLACK - 1;
	if (bpf_probe_read_user(&s->data[off], len, (void *)addr))
		flags |= BC_SEC_UNREADABLE;
	s->w.off = off + len;
	bc_sec_end(s, at, flags);
	return 0;
}

/* The struct file behind a descriptor of the current task, or 0. */
static __always_inline u64 bc_file_at(u64 task, s32 fd)
{
	struct files_struct *files = BPF_CORE_READ((struct task_struct *)task, files);
	struct fdtable *fdt = BPF_CORE_READ(files, fdt);
	u64 f = 0;
	u64 table;

	if (fd < 0 || (u32)fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	table = (u64)BPF_CORE_READ(fdt, fd);
	bpf_probe_read_kernel(&f, sizeof(f), (void *)(table + 8 * (u64)(u32)fd));
	return f;
}

/* Where the walk of a path notices that it passes the process's root. */
static __always_inline void bc_set_root(struct bc_scratch *s)
{
	u64 task = s->w.task; /* not within BPF_CORE_READ, which would relocate it */
	struct fs_struct *fs = BPF_CORE_READ((struct task_struct *)task, fs);

	s->w.root_dentry = (u64)BPF_CORE_READ(fs, root.dentry);
	s->w.root_mnt = (u64)BPF_CORE_READ(fs, root.mnt) - bpf_core_field_offset(struct mount, mnt);
	s->w.path_max = BC_CALL_PATH_BYTES;
}

/* Whether the process's root is not that of its mount namespace. */
static __always_inline bool bc_chrooted(u64 task)
{
	struct fs_struct *fs = BPF_CORE_READ((struct task_struct *)task, fs);
	u64 dentry = (u64)BPF_CORE_READ(fs, root.dentry);
	u64 m = (u64)BPF_CORE_READ(fs, root.mnt) - bpf_core_field_offset(struct mount, mnt);
	struct bc_mount mnt = {};

	/* After a boot the root lies on the root of the first file system. */
	for (int i = 0; i < BC_ROOT_MOUNTS; i++) {
		if (fix_read_mount(&mnt, m))
			return false;
		if (dentry != mnt.root)
			return true;
		if (!mnt.parent || mnt.parent == m)
			return false;
		dentry = mnt.mountpoint;
		m = mnt.parent;
	}
	return true;
}

/* The directory from which a relative path starts. */
__noinline int bc_put_base(u32 slot, s32 dirfd, u32 which)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	u64 dentry, mnt, f;
	struct bc_path p;
	u32 at, off;

	if (!s || !bc_sec_room(s))
		return 0;
	if (dirfd == AT_FDCWD || dirfd == BC_AT_ROOT) {
		u64 task = s->w.task;
		struct fs_struct *fs = BPF_CORE_READ((struct task_struct *)task, fs);

		if (dirfd == AT_FDCWD) {
			dentry = (u64)BPF_CORE_READ(fs, pwd.dentry);
			mnt = (u64)BPF_CORE_READ(fs, pwd.mnt);
		} else {
			dentry = (u64)BPF_CORE_READ(fs, root.dentry);
			mnt = (u64)BPF_CORE_READ(fs, root.mnt);
		}
	} else {
		f = bc_file_at(s->w.task, dirfd);
		if (!f)
			return 0;
		dentry = (u64)BPF_CORE_READ((struct file *)f, f_path.dentry);
		mnt = (u64)BPF_CORE_READ((struct file *)f, f_path.mnt);
	}
	at = bc_sec_begin(s, BC_SEC_BASE, which);
	off = s->w.off & (BC_BUF - 1);
	s->w.off = off + sizeof(p);
	bc_set_root(s);
	bc_walk(s, slot, &p, dentry, mnt);
	bc_opaque(off);
	off &= BC_BUF - 1;
	*(struct bc_path *)&s->data[off] = p;
	bc_sec_end(s, at, 0);
	return 0;
}

static __always_inline void bc_read_file(struct bc_file *o, struct file *f)
{
	struct inode *i = BPF_CORE_READ(f, f_inode);
	struct super_block *sb = BPF_CORE_READ(i, i_sb);
	u64 upper = 0;

	o->dev = BPF_CORE_READ(sb, s_dev);
	o->inode = BPF_CORE_READ(i, i_ino);
	o->mtime = 0;
	o->ctime = 0;
	o->nlink = BPF_CORE_READ(i, i_nlink);
	o->mode = BPF_CORE_READ(i, i_mode);
	o->uid = BPF_CORE_READ(i, i_uid.val);
	o->gid = BPF_CORE_READ(i, i_gid.val);
	o->rdev = BPF_CORE_READ(i, i_rdev);
	o->magic = BPF_CORE_READ(sb, s_magic);
	o->nosuid = 0;
	o->upper = 0;
	if (o->magic == OVERLAYFS_SUPER_MAGIC) {
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)i + bpf_core_type_size(struct inode));
		o->upper = upper != 0;
	}
}

/* What stands behind w.file, which descriptor w.fdnum leads to. */
__noinline int bc_put_file(u32 slot, u32 which)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_fd *o;
	struct file *f;
	u32 at, off;

	if (!s || !bc_sec_room(s))
		return 0;
	at = bc_sec_begin(s, BC_SEC_FD, which);
	off = s->w.off & (BC_BUF - 1);
	s->w.off = off + sizeof(*o);
	bc_opaque(off);
	off &= BC_BUF - 1;
	o = (struct bc_fd *)&s->data[off];
	__builtin_memset(o, 0, sizeof(*o));
	f = (struct file *)s->w.file;
	o->num = s->w.fdnum;
	if (f) {
		o->open = 1;
		o->fmode = BPF_CORE_READ(f, f_mode);
		o->fflags = BPF_CORE_READ(f, f_flags);
		bc_read_file(&o->file, f);
		if ((o->file.mode & S_IFMT) == S_IFSOCK) {
			bc_fill_sock(s, &o->sock, f);
		} else if ((o->file.mode & S_IFMT) != S_IFIFO || o->file.magic != PIPEFS_MAGIC) {
			bc_set_root(s);
			bc_walk(s, slot, &o->path, (u64)BPF_CORE_READ(f, f_path.dentry),
				(u64)BPF_CORE_READ(f, f_path.mnt));
		}
	}
	bc_sec_end(s, at, 0);
	return 0;
}

__noinline int bc_put_fd(u32 slot, s32 fd, u32 which)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);

	if (!s)
		return 0;
	s->w.fdnum = fd;
	s->w.file = bc_file_at(s->w.task, fd);
	return bc_put_file(slot, which);
}

__noinline int bc_put_cred(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct task_struct *t;
	const struct cred *c;
	struct bc_caps caps = {};
	struct bc_cred *o;
	u32 at, off;

	if (!s || !bc_sec_room(s))
		return 0;
	t = (struct task_struct *)s->w.task;
	c = BPF_CORE_READ(t, cred);
	at = bc_sec_begin(s, BC_SEC_CRED, 0);
	off = s->w.off & (BC_BUF - 1);
	s->w.off = off + sizeof(*o);
	bc_opaque(off);
	off &= BC_BUF - 1;
	o = (struct bc_cred *)&s->data[off];
	__builtin_memset(o, 0, sizeof(*o));
	o->uid = BPF_CORE_READ(c, uid.val);
	o->gid = BPF_CORE_READ(c, gid.val);
	o->euid = BPF_CORE_READ(c, euid.val);
	o->egid = BPF_CORE_READ(c, egid.val);
	o->suid = BPF_CORE_READ(c, suid.val);
	o->sgid = BPF_CORE_READ(c, sgid.val);
	o->fsuid = BPF_CORE_READ(c, fsuid.val);
	o->fsgid = BPF_CORE_READ(c, fsgid.val);
	o->loginuid = ~0u;
	o->sessionid = ~0u;
	if (bpf_core_field_exists(t->loginuid))
		o->loginuid = BPF_CORE_READ(t, loginuid.val);
	if (bpf_core_field_exists(t->sessionid))
		o->sessionid = BPF_CORE_READ(t, sessionid);
	o->no_new_privs = (BPF_CORE_READ(t, atomic_flags) >> PFA_NO_NEW_PRIVS) & 1;
	fix_read_caps(&caps, c);
	o->effective = caps.effective;
	o->permitted = caps.permitted;
	o->inheritable = caps.inheritable;
	o->bounding = caps.bounding;
	o->ambient = caps.ambient;
	bc_sec_end(s, at, 0);
	return 0;
}

#endif
