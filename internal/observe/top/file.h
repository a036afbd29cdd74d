/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reads, writes and syncs of regular files by system calls, with their paths.
 */
#ifndef BEARCAT_TOP_FILE_H
#define BEARCAT_TOP_FILE_H

/* Defined before this is included: wanted(), now_in(), SLOTS, the constants. */

#define FILES 8192
#define PATH_MAX_BYTES 512 /* of which the last name may be written beyond */
#define NAME_BYTES 256
#define PATH_STEPS 48
#define REGULAR 0100000
#define COMPAT 2 /* a call of the 32-bit table, which has other numbers */

enum { FILE_READ = 1, FILE_WRITE, FILE_SYNC };

struct file_key {
	u64 inode; /* its address */
	u32 tgid;
	u32 epoch;
};

struct file_stat {
	u64 ino;
	u32 dev;
	u32 pad;
	u64 reads;
	u64 writes;
	u64 syncs;
	u64 errors;
	u64 read_bytes;
	u64 written_bytes;
	u64 ns;
	u64 max;
	char comm[16];
	u32 slot[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FILES);
	__type(key, struct file_key);
	__type(value, struct file_stat);
} files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct file_stat);
} no_file SEC(".maps");

struct path_key {
	u64 inode;
	u32 epoch;
	u32 pad;
};

enum { PATH_CUT = 1, PATH_DELETED = 2 };

/* A path, its last name first, each name with a slash before it. */
struct file_path {
	u32 len;
	u32 flags;
	char text[PATH_MAX_BYTES + NAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FILES);
	__type(key, struct path_key);
	__type(value, struct file_path);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct file_path);
} no_path SEC(".maps");

/* The call that a thread is in. It stays for the next one until the thread ends, as to add
 * and remove it each time would cost more than all the rest. */
struct file_call {
	u64 at; /* 0 for none */
	u64 inode;
	u64 file;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TASKS);
	__type(key, u64);
	__type(value, struct file_call);
} calls SEC(".maps");

/* What a call does, and the register that has its descriptor. */
static __always_inline u32 file_call_of(long nr, bool *second)
{
	*second = false;
	switch (nr) {
	case 40: /* sendfile: what it reads from comes second */
		*second = true;
		return FILE_READ;
	case 0: /* read */
	case 17: /* pread64 */
	case 19: /* readv */
	case 295: /* preadv */
	case 327: /* preadv2 */
		return FILE_READ;
	case 1: /* write */
	case 18: /* pwrite64 */
	case 20: /* writev */
	case 296: /* pwritev */
	case 328: /* pwritev2 */
		return FILE_WRITE;
	case 74: /* fsync */
	case 75: /* fdatasync */
		return FILE_SYNC;
	}
	return 0;
}

/* Writes the path of a file, up through its directories and mounts. */
static __noinline int write_path(struct file_path *p, u64 dentry, u64 vfsmount)
{
	struct mount *mnt = (void *)(vfsmount - bpf_core_field_offset(struct mount, mnt)), *above;
	struct dentry *d = (void *)dentry, *up;
	u32 off = 0, flags = 0;
	long n;

	if (!p)
		return 0;
	if (!BPF_CORE_READ(d, d_hash.pprev) && BPF_CORE_READ(d, d_parent) != d)
		flags = PATH_DELETED;
	for (int i = 0; i < PATH_STEPS; i++) {
		if (d == BPF_CORE_READ(mnt, mnt.mnt_root)) {
			above = BPF_CORE_READ(mnt, mnt_parent);
			if (!above || above == mnt)
				break;
			d = BPF_CORE_READ(mnt, mnt_mountpoint);
			mnt = above;
			continue;
		}
		up = BPF_CORE_READ(d, d_parent);
		if (!up || up == d)
			break;
		if (i == PATH_STEPS - 1 || off >= PATH_MAX_BYTES - 1) {
			flags |= PATH_CUT;
			break;
		}
		/* the compiler may know that it is in range and leave the mask out, which the
		 * verifier needs */
		asm volatile("" : "+r"(off));
		off &= PATH_MAX_BYTES - 1;
		p->text[off] = '/';
		n = bpf_probe_read_kernel_str(&p->text[off + 1], NAME_BYTES - 1, BPF_CORE_READ(d, d_name.name));
		off += n > 0 ? n : 1;
		d = up;
	}
	p->len = off;
	p->flags = flags;
	return 0;
}

/* Notes the path of a file, once in an interval. */
static __always_inline void note_path(struct file *f, u64 inode, u32 epoch)
{
	struct path_key key = { .inode = inode, .epoch = epoch };
	struct file_path *p;
	u32 zero = 0;

	p = bpf_map_lookup_elem(&no_path, &zero);
	if (!p)
		return;
	switch (bpf_map_update_elem(&paths, &key, p, BPF_NOEXIST)) {
	case 0:
		p = bpf_map_lookup_elem(&paths, &key);
		if (p)
			write_path(p, (u64)BPF_CORE_READ(f, f_path.dentry), (u64)BPF_CORE_READ(f, f_path.mnt));
		break;
	case -17: /* it is there */
		break;
	default:
		count_lost(LOST_PAIR);
	}
}

static __always_inline struct file_stat *file_of(struct file_key *key, struct file *f)
{
	struct file_stat *s = bpf_map_lookup_elem(&files, key), *none;
	struct inode *inode = (struct inode *)key->inode;
	u32 zero = 0;

	if (s)
		return s;
	none = bpf_map_lookup_elem(&no_file, &zero);
	if (!none)
		return NULL;
	bpf_map_update_elem(&files, key, none, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&files, key);
	if (!s) {
		count_lost(LOST_ENTRY);
		return NULL;
	}
	s->ino = BPF_CORE_READ(inode, i_ino);
	s->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	name_of(s->comm, BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), group_leader));
	note_path(f, key->inode, key->epoch);
	return s;
}

/* The file that a descriptor of the current task is, where that is a regular one. */
static __always_inline struct file *regular_file(struct task_struct *t, u32 fd, struct inode **inode)
{
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	struct file **fds, *f = NULL;

	if (!fdt || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	fds = BPF_CORE_READ(fdt, fd);
	bpf_probe_read_kernel(&f, sizeof(f), fds + fd);
	*inode = BPF_CORE_READ(f, f_inode);
	if (!*inode || (BPF_CORE_READ(*inode, i_mode) & KIND_OF_FILE) != REGULAR)
		return NULL;
	return f;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(file_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	u64 self = bpf_get_current_pid_tgid();
	struct file_call none = {}, *c;
	struct inode *inode = NULL;
	struct file *f;
	bool second;

	if (!file_call_of(nr, &second) || (only_tgid && self >> 32 != only_tgid))
		return 0;
	if (BPF_CORE_READ(t, thread_info.status) & COMPAT || !wanted(t))
		return 0;
	f = regular_file(t, second ? BPF_CORE_READ(regs, si) : BPF_CORE_READ(regs, di), &inode);
	c = bpf_map_lookup_elem(&calls, &self);
	if (!f) {
		if (c) /* the end of the last call may have been skipped, and would come now */
			c->at = 0;
		return 0;
	}
	if (!c) {
		bpf_map_update_elem(&calls, &self, &none, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&calls, &self);
		if (!c) {
			count_lost(LOST_TASK);
			return 0;
		}
	}
	c->inode = (u64)inode;
	c->file = (u64)f;
	c->at = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(file_gone, struct task_struct *t)
{
	u64 id = (u64)BPF_CORE_READ(t, tgid) << 32 | BPF_CORE_READ(t, pid);

	bpf_map_delete_elem(&calls, &id);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(file_exit, struct pt_regs *regs, long ret)
{
	u64 self = bpf_get_current_pid_tgid(), ns;
	struct interval *in = now_in();
	struct file_key key = {};
	struct file_call *c;
	struct file_stat *s;
	struct file *f;
	bool second;
	u32 what, slot;

	if (only_tgid && self >> 32 != only_tgid)
		return 0;
	what = file_call_of(BPF_CORE_READ(regs, orig_ax), &second);
	if (!what || !in)
		return 0;
	c = bpf_map_lookup_elem(&calls, &self);
	if (!c || !c->at)
		return 0;
	ns = bpf_ktime_get_ns() - c->at;
	c->at = 0;
	key.inode = c->inode;
	f = (struct file *)c->file;
	key.tgid = self >> 32;
	key.epoch = in->epoch;
	s = file_of(&key, f);
	if (!s)
		return 0;
	if (ret < 0) {
		__sync_fetch_and_add(&s->errors, 1);
	} else if (what == FILE_READ) {
		__sync_fetch_and_add(&s->reads, 1);
		__sync_fetch_and_add(&s->read_bytes, ret);
	} else if (what == FILE_WRITE) {
		__sync_fetch_and_add(&s->writes, 1);
		__sync_fetch_and_add(&s->written_bytes, ret);
	} else {
		__sync_fetch_and_add(&s->syncs, 1);
	}
	__sync_fetch_and_add(&s->ns, ns);
	if (ns > s->max)
		s->max = ns;
	slot = slot_of(ns);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	asm volatile("" : "+r"(slot)); /* as in cpu.h */
	if (slot < SLOTS)
		__sync_fetch_and_add(&s->slot[slot], 1);
	return 0;
}

const struct file_key *unused_file_key __attribute__((unused));
const struct file_stat *unused_file __attribute__((unused));
const struct path_key *unused_path_key __attribute__((unused));
const struct file_path *unused_path __attribute__((unused));

#endif
