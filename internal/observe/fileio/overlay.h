/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Files of overlays that an open for writing has copied from a lower layer into the upper
 * one. No tracepoint tells of it: the file's own structures do when the open has ended. The
 * types are those of overlay and of the upper layer's file system, which may be modules.
 */
#ifndef BEARCAT_OVERLAY_H
#define BEARCAT_OVERLAY_H

/* Defined before this is included: fileio.h. */

#define OVERLAY 0x794c7630
#define FMODE_WRITE 2
#define LAYER 256 /* of a layer's name, so much is told */

#define ours __attribute__((preserve_access_index))

struct copied {
	struct note note;
	u64 birth; /* of the file in the upper layer, ns of the wall clock */
	u64 mtime;
	u64 bytes;
	u64 inode;
	u32 device;
	u32 layer;  /* from which: 1 is the uppermost lower one */
	u32 listed; /* whether lower is that layer's name, or all of them with colons between */
	u32 pad;
	char upper[LAYER];
	char lower[LAYER];
};

struct ovl_layer___bc {
	int idx;
} ours;

struct ovl_path___bc {
	struct ovl_layer___bc *layer;
} ours;

struct ovl_entry___bc {
	unsigned int __numlower;
	struct ovl_path___bc __lowerstack[1];
} ours;

struct ovl_inode___bc {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_entry___bc *oe;
} ours;

/* Up to 6.4 ("ovl: move ovl_entry into ovl_inode" changed it). */
struct ovl_inode___path {
	struct ovl_path___bc lowerpath;
} ours;

struct ovl_config___bc {
	char *upperdir;
	char **lowerdirs;
} ours;

/* Up to 6.4 ("ovl: modify layer parameter parsing" changed it). */
struct ovl_config___old {
	char *lowerdir;
} ours;

struct ovl_fs___bc {
	struct ovl_config___bc config;
} ours;

struct ovl_fs___old {
	struct ovl_config___old config;
} ours;

struct super_block___ovl {
	void *s_fs_info;
} ours;

struct inode___size {
	s64 i_size;
} ours;

struct shmem_inode_info___bc {
	struct timespec64___bc i_crtime;
	struct inode vfs_inode;
} ours;

struct ext4_inode_info___bc {
	struct timespec64___bc i_crtime;
	struct inode vfs_inode;
} ours;

struct xfs_inode___bc {
	struct timespec64___bc i_crtime;
	struct inode i_vnode;
} ours;

struct btrfs_inode___bc {
	struct timespec64___bc i_otime;
	struct inode vfs_inode;
} ours;

/* 6.7 ("btrfs: open code timespec64 in struct btrfs_inode"). */
struct btrfs_inode___split {
	u64 i_otime_sec;
	u32 i_otime_nsec;
} ours;

/* What the inode is a part of. */
#define whole(type, inode, member) ((struct type *)((u64)(inode) - bpf_core_field_offset(struct type, member)))
#define time_in(of, member) (BPF_CORE_READ(of, member.tv_sec) * NSEC + BPF_CORE_READ(of, member.tv_nsec))

/* When a file was made, by the file system that it is in; 0 where that is not known. */
static __always_inline u64 birth_of(struct inode *i)
{
	struct btrfs_inode___split *split;

	switch (BPF_CORE_READ(i, i_sb, s_magic)) {
	case 0x01021994: /* tmpfs; since 5.18 */
		if (bpf_core_field_exists(((struct shmem_inode_info___bc *)0)->i_crtime))
			return time_in(whole(shmem_inode_info___bc, i, vfs_inode), i_crtime);
		break;
	case 0xef53: /* ext4 */
		if (bpf_core_field_exists(((struct ext4_inode_info___bc *)0)->i_crtime))
			return time_in(whole(ext4_inode_info___bc, i, vfs_inode), i_crtime);
		break;
	case 0x58465342: /* xfs */
		if (bpf_core_field_exists(((struct xfs_inode___bc *)0)->i_crtime))
			return time_in(whole(xfs_inode___bc, i, i_vnode), i_crtime);
		break;
	case 0x9123683e: /* btrfs */
		if (bpf_core_field_exists(((struct btrfs_inode___bc *)0)->i_otime))
			return time_in(whole(btrfs_inode___bc, i, vfs_inode), i_otime);
		if (!bpf_core_field_exists(((struct btrfs_inode___split *)0)->i_otime_sec))
			break;
		split = (void *)whole(btrfs_inode___bc, i, vfs_inode);
		return BPF_CORE_READ(split, i_otime_sec) * NSEC + BPF_CORE_READ(split, i_otime_nsec);
	}
	return 0;
}

/* As fix_inode_mtime(), for an inode that the verifier does not track. */
static __always_inline u64 mtime_of(struct inode *i)
{
	if (bpf_core_field_exists(((struct inode___split *)0)->i_mtime_sec))
		return BPF_CORE_READ((struct inode___split *)i, i_mtime_sec) * NSEC + BPF_CORE_READ((struct inode___split *)i, i_mtime_nsec);
	if (bpf_core_field_exists(((struct inode___under_mtime *)0)->__i_mtime))
		return time_in((struct inode___under_mtime *)i, __i_mtime);
	return time_in((struct inode___ts *)i, i_mtime);
}

/* The layer that a file of an overlay has a lower copy in; 0 for none. */
static __always_inline u32 lower_of(struct ovl_inode___bc *o)
{
	struct ovl_layer___bc *layer = NULL;
	struct ovl_entry___bc *oe;

	if (bpf_core_field_exists(((struct ovl_inode___path *)0)->lowerpath)) {
		layer = BPF_CORE_READ((struct ovl_inode___path *)o, lowerpath.layer);
	} else if (bpf_core_field_exists(((struct ovl_inode___bc *)0)->oe)) {
		oe = BPF_CORE_READ(o, oe);
		if (oe && BPF_CORE_READ(oe, __numlower))
			layer = BPF_CORE_READ(oe, __lowerstack[0].layer);
	}
	return layer ? BPF_CORE_READ(layer, idx) : 0;
}

static __always_inline void name_layers(struct copied *c, struct super_block *sb)
{
	struct ovl_fs___bc *fs = BPF_CORE_READ((struct super_block___ovl *)sb, s_fs_info);
	char **all, *lower = NULL;

	bpf_probe_read_kernel_str(c->upper, LAYER, BPF_CORE_READ(fs, config.upperdir));
	if (bpf_core_field_exists(((struct ovl_config___bc *)0)->lowerdirs)) {
		c->listed = 1;
		all = BPF_CORE_READ(fs, config.lowerdirs);
		bpf_probe_read_kernel(&lower, sizeof(lower), all + c->layer);
	} else if (bpf_core_field_exists(((struct ovl_config___old *)0)->lowerdir)) {
		lower = BPF_CORE_READ((struct ovl_fs___old *)fs, config.lowerdir);
	}
	if (lower)
		bpf_probe_read_kernel_str(c->lower, LAYER, lower);
}

/* Tells of a file that is open for writing, lies in the upper layer of an overlay and has a
 * lower copy too. Whether this open has made it is seen by when it was made. */
static __always_inline void tell_copied(u64 id, struct file *file)
{
	struct inode *i = BPF_CORE_READ(file, f_inode), *up;
	struct ovl_inode___bc *o;
	struct copied *c;
	u64 birth;
	u32 layer;

	if (!bpf_core_field_exists(((struct ovl_inode___bc *)0)->__upperdentry))
		return;
	if (BPF_CORE_READ(i, i_sb, s_magic) != OVERLAY || !(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return;
	o = whole(ovl_inode___bc, i, vfs_inode);
	up = BPF_CORE_READ(o, __upperdentry, d_inode);
	layer = lower_of(o);
	birth = up ? birth_of(up) : 0;
	if (!layer || !birth)
		return;
	c = reserve(struct copied);
	if (!c) {
		lost();
		return;
	}
	__builtin_memset(c, 0, sizeof(*c));
	fill(&c->note, id, COPIED_UP);
	c->birth = birth;
	c->mtime = mtime_of(up);
	c->bytes = BPF_CORE_READ((struct inode___size *)up, i_size);
	c->inode = BPF_CORE_READ(up, i_ino);
	c->device = BPF_CORE_READ(up, i_sb, s_dev);
	c->layer = layer;
	name_layers(c, BPF_CORE_READ(i, i_sb));
	give(c);
}

#endif
