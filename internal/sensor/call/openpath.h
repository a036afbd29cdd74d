/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which opens are of interest by their path. It is checked before anything of
 * an open is written: against the last component's name and its end, the names of
 * directories on the way, and the first two components (event.PathFilter says the
 * same in Go); lengths first, then names. Whatever cannot be read or is too long for
 * these checks counts as wanted.
 */
#ifndef BEARCAT_OPENPATH_H
#define BEARCAT_OPENPATH_H

#include "call.h"
#include "path.h"

#define BC_NAME 32 /* bytes of a component, with a zero behind it */
#define BC_RAW 256 /* bytes of a caller's path */
#define BC_TOP_STEPS 64
#define BC_MOUNT_STEPS 8

/* Names of last components, and their ends from the last dot on, with the kinds
 * of opens (enum bc_open) that want them. Above these bits stand the kinds that want
 * them as last bytes of the last component, and as the name of a directory. */
#define BC_AS_TAIL 8
#define BC_AS_DIR 16
#define BC_TAIL 4 /* bytes */

struct bc_open_name {
	char name[BC_NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct bc_open_name);
	__type(value, u32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} open_names SEC(".maps");

/* The first component and the second, or nothing for any. */
struct bc_open_top {
	char first[BC_NAME];
	char second[BC_NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct bc_open_top);
	__type(value, u32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} open_tops SEC(".maps");

/* What lies in the part of scratch that no record uses. */
struct bc_open_scratch {
	struct bc_open_top top;
	char name[2 * BC_NAME]; /* zeros behind it, for its end as a key */
	u64 raw[BC_RAW / 8];
	u64 behind[BC_NAME / 8];
	/* of walks, whose stack is short where functions call each other */
	struct bc_mount mnt;
	struct bc_dentry de;
	const unsigned char *first;
	const unsigned char *second;
	u32 first_len;
	u32 second_len;
};

static __always_inline struct bc_open_scratch *bc_open_area(struct bc_scratch *s)
{
	return (struct bc_open_scratch *)&s->data[BC_BUF];
}

static __always_inline bool bc_name_wanted(void *key, u32 kind)
{
	u32 *kinds = bpf_map_lookup_elem(&open_names, key);

	return kinds && *kinds & kind;
}

/* Whether the last component, in o->name, is wanted for its name or its end. */
static __always_inline bool bc_leaf_wanted(struct bc_open_scratch *o, u32 kind, struct bc_settings *set, u32 len)
{
	u64 dot = 0, is, at;

	if (bc_name_wanted(o->name, kind))
		return true;
	if (!((set->exts | set->tails) & kind))
		return false;
	if (len >= BC_NAME)
		return true;
	if (set->tails & kind && len >= BC_TAIL) {
		at = len - BC_TAIL;
		bc_opaque(at);
		at &= BC_NAME - 1;
		if (bc_name_wanted(&o->name[at], kind << BC_AS_TAIL))
			return true;
	}
	if (!(set->exts & kind))
		return false;
	/* 1 + where the last dot is; without branches, which the verifier would
	 * follow one by one */
	for (u64 i = 0; i < BC_NAME; i++) {
		is = ((u64)(u8)(o->name[i] ^ '.') - 1) >> 63;
		bc_opaque(is);
		is &= 1;
		dot = dot * (1 - is) + (i + 1) * is;
	}
	if (!dot)
		return false;
	dot = (dot - 1) & (BC_NAME - 1);
	bc_opaque(dot);
	dot &= BC_NAME - 1;
	return bc_name_wanted(&o->name[dot], kind);
}

/* Whether the first components, in o->top, are wanted. */
static __always_inline bool bc_tops_wanted(struct bc_open_scratch *o, u32 kind)
{
	u32 *kinds = bpf_map_lookup_elem(&open_tops, &o->top);

	if (kinds && *kinds & kind)
		return true;
	if (!o->top.second[0])
		return false;
	__builtin_memset(o->top.second, 0, BC_NAME);
	kinds = bpf_map_lookup_elem(&open_tops, &o->top);
	return kinds && *kinds & kind;
}

/* Whether lens has the length. */
static __always_inline bool bc_len_wanted(u32 lens, u32 len)
{
	if (len > 31)
		len = 31;
	return lens >> len & 1;
}

/* Whether a directory is wanted by its name, of which the length fits. */
static __always_inline bool bc_dir_wanted(struct bc_open_scratch *o, const unsigned char *name, u32 kind)
{
	__builtin_memset(o->name, 0, BC_NAME);
	if (bpf_probe_read_kernel_str(o->name, BC_NAME, name) < 0)
		return true;
	return bc_name_wanted(o->name, kind << BC_AS_DIR);
}

/* Walks up from w.dentry in w.mnt, which is below the mount's root, and looks at
 * the directories on the way, and at the first components of the path. */
__noinline int bc_open_walk(u32 slot, u32 kind)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_open_scratch *o;
	struct bc_settings *set = bc_get_settings();
	u32 dirs = 0;
	struct bc_open_lens *lens;
	u64 d, m;
	bool root = false;

	if (!s || !set)
		return 1;
	o = bc_open_area(s);
	lens = &set->lens[kind & 7];
	o->first = 0;
	o->second = 0;
	o->first_len = 0;
	d = s->w.dentry;
	m = s->w.mnt;
	if (fix_read_mount(&o->mnt, m))
		return 1;
	for (int i = 0; i < BC_TOP_STEPS; i++) {
		if (d == o->mnt.root) {
			if (o->mnt.parent == m || !o->mnt.parent) {
				root = true;
				break;
			}
			d = o->mnt.mountpoint;
			m = o->mnt.parent;
			if (fix_read_mount(&o->mnt, m))
				return 1;
			continue;
		}
		if (fix_read_dentry(&o->de, d) || o->de.parent == d || !o->de.parent)
			return 1;
		/* the last component is no directory on the way */
		if (bc_len_wanted(dirs, o->de.name.len) && bc_dir_wanted(o, o->de.name.name, kind))
			return 1;
		dirs = lens->dir;
		o->second = o->first;
		o->second_len = o->first_len;
		o->first = o->de.name.name;
		o->first_len = o->de.name.len;
		d = o->de.parent;
	}
	if (!root || !o->first)
		return 1;
	if (!(set->tops & kind) || !bc_len_wanted(lens->first, o->first_len) ||
	    !(lens->second & 1 || (o->second && bc_len_wanted(lens->second, o->second_len))))
		return 0;
	__builtin_memset(&o->top, 0, sizeof(o->top));
	if (bpf_probe_read_kernel_str(o->top.first, BC_NAME, o->first) < 0 ||
	    (o->second && bpf_probe_read_kernel_str(o->top.second, BC_NAME, o->second) < 0))
		return 1;
	return bc_tops_wanted(o, kind);
}

/* Whether an open that succeeded is wanted by its file's path. */
__noinline int bc_open_file(u32 slot, u32 kind)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_settings *set = bc_get_settings();
	struct bc_open_scratch *o;
	struct path at = {};
	bool below = false;
	u64 f, d, m;

	if (!s || !set)
		return 1;
	f = s->w.file;
	if (!f)
		return 1;
	if (bpf_core_read(&at, sizeof(at), &((struct file *)f)->f_path))
		return 1;
	o = bc_open_area(s);
	d = (u64)at.dentry;
	m = (u64)at.mnt - bpf_core_field_offset(struct mount, mnt);
	/* the root of a mount has the name of what it is mounted on */
	for (int i = 0; i < BC_MOUNT_STEPS; i++) {
		if (fix_read_mount(&o->mnt, m))
			return 1;
		if (d != o->mnt.root) {
			below = true;
			break;
		}
		if (o->mnt.parent == m || !o->mnt.parent)
			return 1;
		d = o->mnt.mountpoint;
		m = o->mnt.parent;
	}
	if (!below || fix_read_dentry(&o->de, d) || o->de.parent == d)
		return 1;
	if ((set->exts | set->tails) & kind || bc_len_wanted(set->lens[kind & 7].name, o->de.name.len)) {
		__builtin_memset(o->name, 0, sizeof(o->name));
		if (bpf_probe_read_kernel_str(o->name, BC_NAME, o->de.name.name) < 0)
			return 1;
		if (bc_leaf_wanted(o, kind, set, o->de.name.len))
			return 1;
	}
	if (!((set->tops | set->dirs) & kind))
		return 0;
	s->w.dentry = d;
	s->w.mnt = m;
	return bc_open_walk(slot, kind);
}

/* Whether there is ".." in the caller's path, of which len bytes are in o->raw. */
static __always_inline bool bc_raw_dotdot(struct bc_open_scratch *o, u32 len)
{
	const u64 ones = 0x0101010101010101ull, low = ones * 0x7f;
	u64 x, dots, last = 0;

	for (u32 i = 0; i < BC_RAW / 8; i++) {
		if (i * 8 >= len)
			break;
		x = o->raw[i] ^ ones * '.';
		dots = ~(((x & low) + low) | x | low); /* the top bit of each dot's byte */
		if (dots & (dots << 8 | last))
			return true;
		last = dots >> 56;
	}
	return false;
}

/* Whether an open that failed is wanted by the caller's path, of which len bytes
 * are in scratch. Only plain absolute paths are looked at. */
__noinline int bc_open_raw(u32 slot, u32 kind, u32 len)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_settings *set = bc_get_settings();
	u64 slash, dot, prev = 0, n = 0, leaf = 0, at2 = 0, at3 = 0, odd = 0, is, size;
	struct bc_open_scratch *o;
	char *raw;
	u8 c;

	/* directories on the way are not looked for in text */
	if (!s || !set || len < 2 || len >= BC_RAW || set->dirs & kind)
		return 1;
	o = bc_open_area(s);
	raw = (char *)o->raw;
	if (raw[0] != '/')
		return 1;
	/* without branches, which the verifier would follow one by one */
	for (u64 i = 0; i < BC_RAW; i++) {
		c = raw[i];
		if (!c)
			break;
		slash = ((u64)(u8)(c ^ '/') - 1) >> 63;
		dot = ((u64)(u8)(c ^ '.') - 1) >> 63;
		bc_opaque(slash);
		bc_opaque(dot);
		slash &= 1;
		dot &= 1;
		odd |= prev & (slash | dot);
		n += slash;
		leaf = leaf * (1 - slash) + (i + 1) * slash;
		is = (n ^ 2) - 1;
		is = is >> 63 & slash;
		at2 += is * i;
		is = (n ^ 3) - 1;
		is = is >> 63 & slash;
		at3 += is * i;
		prev = slash;
	}
	if (odd || prev)
		return 1;
	leaf &= BC_RAW - 1;
	bc_opaque(leaf);
	leaf &= BC_RAW - 1;
	__builtin_memset(o->name, 0, sizeof(o->name));
	bpf_probe_read_kernel(o->name, BC_NAME - 1, &raw[leaf]);
	if (bc_leaf_wanted(o, kind, set, len - leaf))
		return 1;
	if (!(set->tops & kind))
		return 0;
	__builtin_memset(&o->top, 0, sizeof(o->top));
	size = (at2 ? at2 : len) - 1;
	if (size > BC_NAME - 1)
		size = BC_NAME - 1;
	size &= BC_NAME - 1;
	bc_opaque(size);
	size &= BC_NAME - 1;
	bpf_probe_read_kernel(o->top.first, size, &raw[1]);
	if (at2) {
		size = (at3 ? at3 : len) - at2 - 1;
		if (size > BC_NAME - 1)
			size = BC_NAME - 1;
		size &= BC_NAME - 1;
		bc_opaque(size);
		size &= BC_NAME - 1;
		at2 &= BC_RAW - 1;
		bc_opaque(at2);
		at2 &= BC_RAW - 1;
		bpf_probe_read_kernel(o->top.second, size, &raw[at2 + 1]);
	}
	return bc_tops_wanted(o, kind);
}

/* The file that the current task has opened as fd: as bc_file_at, with fewer reads. */
static __always_inline u64 bc_opened_file(u64 task, s32 fd)
{
	struct fdtable *fdt;
	u64 f = 0;

	if (!fix_has_task_btf())
		return bc_file_at(task, fd);
	fdt = bpf_get_current_task_btf()->files->fdt;
	if (fd < 0 || (u32)fd >= fdt->max_fds)
		return 0;
	bpf_probe_read_kernel(&f, sizeof(f), (void *)((u64)fdt->fd + 8 * (u64)(u32)fd));
	return f;
}

/* Whether an open of a kind is wanted by its path. */
__noinline int bc_open_path(u32 slot, u32 nr, u32 kind)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_desc *d = bpf_map_lookup_elem(&calls, &nr);
	struct bc_settings *set = bc_get_settings();
	struct bc_open_scratch *o;
	struct bc_call *r;
	long n;

	if (!s || !d || !set)
		return 1;
	r = (struct bc_call *)s->data;
	n = 0;
	if (r->ret < 0 || set->dotdot & kind) {
		o = bc_open_area(s);
		__builtin_memset(o->raw, 0, sizeof(o->raw) + sizeof(o->behind));
		n = bpf_probe_read_user_str(o->raw, BC_RAW, (void *)bc_arg(r, d->path[0])) - 1;
		if (n <= 0 || n >= BC_RAW - 1)
			return 1;
		if (set->dotdot & kind && bc_raw_dotdot(o, n))
			return 1;
	}
	if (r->ret >= 0) {
		s->w.file = bc_opened_file(s->w.task, r->ret);
		return bc_open_file(slot, kind);
	}
	/* openat2 may take the path from another root */
	if (d->how != NO_ARG || bc_chrooted(s->w.task))
		return 1;
	return bc_open_raw(slot, kind, n);
}

#endif
