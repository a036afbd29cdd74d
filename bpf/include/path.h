/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Paths as the kernel has them: from a dentry up through its parents and
 * across mounts to the root of the mount namespace. The components go into the
 * record leaf first, each behind a '/'; user space turns them round.
 *
 * bpf_loop is missing before 5.17 and its verification grew dearer in 7.0, so
 * the walk is two plain loops: an outer one that calls, and an inner one, each
 * in a global function, which the verifier checks once. Together they take
 * BC_WALK_OUTER * BC_WALK_STEPS components, more than a path can have.
 */
#ifndef BEARCAT_PATH_H
#define BEARCAT_PATH_H

#include "core_fixes.h"
#include "scratch.h"

/* A program that is loaded for one look has three loops of fewer steps: the verifier
 * looks at each step, and 2304 components are still more than a path can have. */
#ifdef BC_WALK_SHORT
#define BC_WALK_STEPS 4
#define BC_WALK_INNER 24
#define BC_WALK_OUTER 24
#else
#define BC_WALK_STEPS 64
#define BC_WALK_OUTER 128
#endif

/* Takes up to BC_WALK_STEPS components; 1 while there is more to walk. */
__noinline int bc_walk_steps(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_mount mnt = {};
	struct bc_dentry de = {};
	u32 off, len;
	u64 d, m;
	int more = 1;

	if (!s)
		return 0;
	d = s->w.dentry;
	m = s->w.mnt;
	off = s->w.off;
	if (fix_read_mount(&mnt, m))
		return 0;
	for (int i = 0; i < BC_WALK_STEPS; i++) {
		if (d == s->w.root_dentry && m == s->w.root_mnt) {
			s->w.root_at = off;
			s->w.flags |= BC_PATH_AT_ROOT;
			s->w.root_dentry = 0;
		}
		if (d == mnt.root) {
			if (mnt.parent == m || !mnt.parent) {
				more = 0;
				break;
			}
			d = mnt.mountpoint;
			m = mnt.parent;
			if (fix_read_mount(&mnt, m)) {
				more = 0;
				break;
			}
			continue;
		}
		if (fix_read_dentry(&de, d)) {
			more = 0;
			break;
		}
		len = de.name.len;
		if (len > 255)
			len = 255;
		if (off + len + 1 > s->w.limit) {
			s->w.flags |= BC_PATH_CUT;
			more = 0;
			break;
		}
		off &= BC_BUF - 1;
		bc_opaque(off);
		off &= BC_BUF - 1;
		s->data[off] = '/';
		off++;
		len &= 255;
		bc_opaque(len);
		len &= 255;
		bpf_probe_read_kernel(&s->data[off], len, de.name.name);
		off += len;
		if (de.parent == d || !de.parent) {
			s->w.flags |= BC_PATH_PSEUDO;
			more = 0;
			break;
		}
		d = de.parent;
	}
	s->w.dentry = d;
	s->w.mnt = m;
	s->w.off = off;
	return more;
}

#ifdef BC_WALK_SHORT
__noinline int bc_walk_more(u32 slot)
{
	for (int i = 0; i < BC_WALK_INNER; i++)
		if (!bc_walk_steps(slot))
			return 0;
	return 1;
}
#else
#define bc_walk_more bc_walk_steps
#endif

/* A global function as well, so that the loop is verified once and not at each
 * of the places that walk a path. */
__noinline int bc_walk_on(u32 slot)
{
	for (int i = 0; i < BC_WALK_OUTER; i++)
		if (!bc_walk_more(slot))
			return 0;
	return 1;
}

/* Walks from w.dentry and w.mnt and describes what it wrote in *p. */
static __always_inline void bc_walk(struct bc_scratch *s, u32 slot, struct bc_path *p, u64 dentry,
				    u64 vfsmnt)
{
	u32 start = s->w.off;

	p->len = 0;
	p->root_at = 0;
	p->flags = 0;
	p->pad = 0;
	if (!dentry || !vfsmnt)
		return;
	s->w.dentry = dentry;
	s->w.mnt = vfsmnt - bpf_core_field_offset(struct mount, mnt);
	s->w.flags = 0;
	s->w.root_at = start;
	s->w.limit = start + s->w.path_max;
	if (s->w.limit > BC_BUF - 3 * BC_SLACK)
		s->w.limit = BC_BUF - 3 * BC_SLACK;
	/* The root of a file system is in no directory, and yet there. */
	if (!BPF_CORE_READ((struct dentry *)dentry, d_hash.pprev) &&
	    (u64)BPF_CORE_READ((struct dentry *)dentry, d_parent) != dentry)
		s->w.flags |= BC_PATH_UNLINKED;
	bc_walk_on(slot);
	p->len = s->w.off - start;
	p->root_at = s->w.root_at - start;
	p->flags = s->w.flags;
}

#define BC_CGROUP_STEPS 32

/* The names of a kernfs node and of those above it, leaf first; the root,
 * which has no name, is left out. */
__noinline int bc_cgroup_path(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	u64 kn, up;
	u32 off;
	long n;

	if (!s)
		return 0;
	kn = s->w.kn;
	off = s->w.off;
	for (int i = 0; i < BC_CGROUP_STEPS && kn; i++) {
		up = fix_kernfs_parent(kn);
		if (!up)
			break;
		off &= BC_BUF - 1;
		bc_opaque(off);
		off &= BC_BUF - 1;
		s->data[off] = '/';
		off++;
		n = bpf_probe_read_kernel_str(&s->data[off], 256,
					      BPF_CORE_READ((struct kernfs_node *)kn, name));
		if (n > 0)
			off += (u32)n - 1;
		kn = up;
	}
	s->w.off = off;
	return 0;
}

#endif
