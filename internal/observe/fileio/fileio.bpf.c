//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Follows calls that read, write or open files: through the page cache to the disk and
 * back. */
#include "fileio.h"
#include "overlay.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define KIND 0170000
#define REGULAR 0100000
#define DIRECTORY 0040000
#define DISK 0060000
#define OP_WRITE 1 /* of a bio's and a request's operation: odd ones write */

/* bpf2go gives the types that are used for something. */
struct ended *unused_ended __attribute__((unused));
struct copied *unused_copied __attribute__((unused));
enum what *unused_what __attribute__((unused));

struct super_block___bc {
	unsigned long s_magic;
	struct file_system_type___bc *s_type;
} __attribute__((preserve_access_index));

struct file_system_type___bc {
	const char *name;
} __attribute__((preserve_access_index));

enum class {
	NONE,
	DATA,  /* a descriptor, and how much */
	SYNC,  /* a descriptor */
	OPENS, /* gives a descriptor */
};

static __always_inline enum class class_of(u64 nr)
{
	switch (nr) {
	case 0: /* read */
	case 1: /* write */
	case 17: /* pread64 */
	case 18: /* pwrite64 */
	case 19: /* readv */
	case 20: /* writev */
	case 78: /* getdents */
	case 217: /* getdents64 */
	case 295: /* preadv */
	case 296: /* pwritev */
	case 327: /* preadv2 */
	case 328: /* pwritev2 */
		return DATA;
	case 74: /* fsync */
	case 75: /* fdatasync */
	case 77: /* ftruncate */
	case 277: /* sync_file_range */
	case 285: /* fallocate */
		return SYNC;
	case 2: /* open */
	case 85: /* creat */
	case 257: /* openat */
	case 437: /* openat2 */
		return OPENS;
	}
	return NONE;
}

static __always_inline u64 file_at(struct task_struct *t, s32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	struct file **fds;
	u64 f = 0;

	if (fd < 0 || !fdt || (u32)fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	fds = BPF_CORE_READ(fdt, fd);
	bpf_probe_read_kernel(&f, sizeof(f), fds + fd);
	return f;
}

static __always_inline bool on_disk(u64 file)
{
	u32 kind = BPF_CORE_READ((struct file *)file, f_inode, i_mode) & KIND;

	return kind == REGULAR || kind == DIRECTORY || kind == DISK;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_begins, struct pt_regs *regs, long nr)
{
	enum class class = class_of(nr);
	struct task_struct *t;
	struct call c = {};
	u32 tid;

	if (class == NONE)
		return 0;
	t = (struct task_struct *)bpf_get_current_task();
	if (!chosen(t) || !in_netns(t))
		return 0;
	c.nr = nr;
	if (class != OPENS) {
		c.fd = BPF_CORE_READ(regs, di);
		c.file = file_at(t, c.fd);
		if (!c.file || !on_disk(c.file))
			return 0;
		c.wanted = BPF_CORE_READ(regs, dx);
	} else if (nr == 257) {
		c.wanted = BPF_CORE_READ(regs, dx);
	} else if (nr == 2) {
		c.wanted = BPF_CORE_READ(regs, si);
	}
	tid = bpf_get_current_pid_tgid();
	c.at = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&calls, &tid, &c, BPF_ANY))
		__sync_fetch_and_add(&total.full, 1);
	return 0;
}

/* The pages that were added since the last note. */
static __always_inline int tell_pages(struct call *c, u32 tid)
{
	struct note *n;

	if (!c->untold)
		return 0;
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, number(c, tid), PAGES);
	n->a = c->untold;
	c->untold = 0;
	give(n);
	return 0;
}

static __always_inline void describe(struct ended *e, u64 file)
{
	struct super_block___bc *sb = (void *)BPF_CORE_READ((struct file *)file, f_inode, i_sb);
	u32 slot = first_slot + bpf_get_smp_processor_id();
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_path p;

	e->mode = BPF_CORE_READ((struct file *)file, f_inode, i_mode);
	e->magic = BPF_CORE_READ(sb, s_magic);
	bpf_probe_read_kernel_str(e->kind, sizeof(e->kind), BPF_CORE_READ(sb, s_type, name));
	/* from 6.19 on another call may come between on this processor */
	if (!s || s->w.busy)
		return;
	s->w.busy = 1;
	s->w.off = 0;
	s->w.path_max = PATH;
	bc_walk(s, slot, &p, (u64)BPF_CORE_READ((struct file *)file, f_path.dentry), (u64)BPF_CORE_READ((struct file *)file, f_path.mnt));
	e->path_length = p.len;
	e->path_flags = p.flags;
	bpf_probe_read_kernel(e->path, PATH, s->data);
	s->w.busy = 0;
}

static __always_inline void end_call(struct call *c, u32 tid, s64 result)
{
	u64 at = bpf_ktime_get_ns();
	struct ended *e;
	u64 file = c->file, id;

	if (class_of(c->nr) == OPENS && result >= 0) {
		file = file_at((struct task_struct *)bpf_get_current_task(), result);
		if (!file || !on_disk(file))
			return;
	}
	__sync_fetch_and_add(&total.calls, 1);
	if (at - c->at < slower || !admitted(at))
		return;
	tell_pages(c, tid);
	id = number(c, tid);
	if (class_of(c->nr) == OPENS && file)
		tell_copied(id, (struct file *)file);
	e = reserve(struct ended);
	if (!e) {
		lost();
		return;
	}
	__builtin_memset(e, 0, sizeof(*e) - PATH);
	fill(&e->note, id, CALL_ENDS);
	e->note.at = at;
	e->begun = c->at;
	e->wanted = c->wanted;
	e->result = result;
	e->nr = c->nr;
	e->fd = c->fd;
	e->tgid = bpf_get_current_pid_tgid() >> 32;
	e->tid = tid;
	e->pages = c->pages;
	e->requests = c->requests;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	if (file)
		describe(e, file);
	give(e);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends, struct pt_regs *regs, long result)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct call *c = call_of(tid);

	if (!c)
		return 0;
	if (c->nr == BPF_CORE_READ(regs, orig_ax))
		end_call(c, tid, result);
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(page_added)
{
	struct call *c = call_of(bpf_get_current_pid_tgid());

	if (c) {
		c->pages++;
		c->untold++;
	}
	return 0;
}

static __always_inline int tell_disk(u64 id, u32 what, struct gendisk___bc *disk, u64 sector, u32 bytes, u32 op)
{
	struct note *n = reserve(struct note);

	if (!n)
		return lost();
	fill(n, id, what);
	n->sector = sector;
	n->a = bytes;
	n->write = op & OP_WRITE;
	bpf_probe_read_kernel_str(n->name, sizeof(n->name), (void *)disk + bpf_core_field_offset(struct gendisk___bc, disk_name));
	give(n);
	return 0;
}

SEC("tp_btf/block_bio_queue")
int bio_queued(u64 *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct call *c = call_of(tid);
	struct bio___bc *bio;
	u64 key, id;

	if (!c)
		return 0;
	tell_pages(c, tid);
	key = first_or_second(ctx, bio_second);
	bio = (void *)key;
	id = number(c, tid);
	c->requests++;
	bpf_map_update_elem(&asked, &key, &id, BPF_ANY);
	return tell_disk(id, QUEUED, disk_of_bio(bio), BPF_CORE_READ(bio, bi_iter.bi_sector), BPF_CORE_READ(bio, bi_iter.bi_size), BPF_CORE_READ(bio, bi_opf));
}

SEC("tp_btf/block_rq_issue")
int request_issued(u64 *ctx)
{
	u64 key = first_or_second(ctx, request_second), at, id = 0, *found;
	struct request___bc *rq = (void *)key;
	struct bio___bc *bio = BPF_CORE_READ(rq, bio);

	for (int i = 0; i < BIOS && bio; i++) {
		at = (u64)bio;
		found = bpf_map_lookup_elem(&asked, &at);
		if (found) {
			id = *found;
			break;
		}
		bio = BPF_CORE_READ(bio, bi_next);
	}
	if (!id)
		return 0;
	bpf_map_delete_elem(&asked, &at);
	bpf_map_update_elem(&asked, &key, &id, BPF_ANY);
	return tell_disk(id, ISSUED, disk_of(rq), BPF_CORE_READ(rq, __sector), BPF_CORE_READ(rq, __data_len), BPF_CORE_READ(rq, cmd_flags));
}

SEC("tp_btf/block_rq_complete")
int request_complete(u64 *ctx)
{
	u64 key = ctx[0], id, *found = bpf_map_lookup_elem(&asked, &key);
	struct request___bc *rq = (void *)key;

	if (!found)
		return 0;
	id = *found;
	bpf_map_delete_elem(&asked, &key);
	return tell_disk(id, COMPLETE, disk_of(rq), BPF_CORE_READ(rq, __sector), (u32)ctx[2], BPF_CORE_READ(rq, cmd_flags));
}

static __always_inline int tell_task(struct task_struct *t, u32 what, struct task_struct *other)
{
	u32 tid = BPF_CORE_READ(t, pid);
	struct call *c = call_of(tid);
	struct note *n;

	if (!c)
		return 0;
	if (what == ASLEEP && runnable(t))
		what = OFF_CPU;
	if (what == ASLEEP)
		tell_pages(c, tid);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, number(c, tid), what);
	n->a = BPF_CORE_READ(other, tgid);
	bpf_probe_read_kernel_str(n->name, 16, (void *)other + bpf_core_field_offset(struct task_struct, comm));
	give(n);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	tell_task(prev, ASLEEP, next);
	return tell_task(next, ON_CPU, prev);
}

SEC("tp_btf/sched_waking")
int BPF_PROG(woken, struct task_struct *t)
{
	return tell_task(t, WOKEN, (struct task_struct *)bpf_get_current_task());
}
