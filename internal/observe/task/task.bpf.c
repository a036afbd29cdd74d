//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Follows tasks through the scheduler: when they run, sleep and wait, for what, who wakes
 * them, and who has the processor meanwhile. */
#include "group.h"
#include "notes.h"
#include "runnable.h"
#include "slices.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TASKS 16384
#define STACKS 4096
#define DEPTH 32

enum what {
	RAN = 1, /* and leaves the processor: other is who gets it */
	SLEPT,	 /* until it was woken: other is who woke it */
	WAITED,	 /* for a processor: other is who had it longest */
	MOVED,	 /* to another processor: a is from, b to */
};

/* bpf2go gives the types that are used for something. */
enum what *unused_what __attribute__((unused));
struct note *unused_note __attribute__((unused));

struct note {
	u64 from, to; /* ns since boot */
	u32 what;
	u32 cpu;
	u32 tgid, tid;
	u32 other; /* a process; 0 for none */
	s32 stack; /* of SLEPT, and of RAN: where it left the processor */
	u32 a, b;
	u8 preempted; /* of RAN: it could have gone on */
	u8 disk;      /* of SLEPT: it waited for a device */
	u16 pad;
	u32 more;
	char comm[16];
	char other_comm[16];
};

struct task {
	u64 on;	   /* since when it runs; 0 while it does not */
	u64 off;   /* since when it does not; 0 where that is not known */
	u64 woken; /* 0 while it sleeps */
	s32 stack;
	u32 waker;
	char waker_comm[16];
	u8 disk;
	u8 pad[3];
	u32 cpu; /* where it ran last */
};

struct totals {
	u64 notes;
	u64 full; /* tasks for which there was no room */
};

struct totals total; /* of what was told */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TASKS);
	__type(key, u32);
	__type(value, struct task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slices);
} nows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, DEPTH * sizeof(u64));
} stacks SEC(".maps");

struct task_struct___more {
	unsigned in_iowait : 1;
	int exit_state;
} __attribute__((preserve_access_index));

static __always_inline bool has_ended(struct task_struct *t)
{
	return BPF_CORE_READ((struct task_struct___more *)t, exit_state) != 0;
}

static __always_inline void fill(struct note *n, u32 what, struct task_struct *t, u64 from, u64 to)
{
	__builtin_memset(n, 0, sizeof(*n));
	__sync_fetch_and_add(&total.notes, 1);
	n->what = what;
	n->from = from;
	n->to = to;
	n->cpu = bpf_get_smp_processor_id();
	n->tgid = BPF_CORE_READ(t, tgid);
	n->tid = BPF_CORE_READ(t, pid);
	n->stack = -1;
	name_of(n->comm, t);
}

/* A task leaves the processor. */
static __always_inline int leaves(void *ctx, struct task_struct *t, struct task_struct *next, u64 at)
{
	u32 tid = BPF_CORE_READ(t, pid);
	struct task fresh = {}, *k = bpf_map_lookup_elem(&tasks, &tid);
	bool goes_on = runnable(t);
	struct note *n;
	s32 stack;
	u64 on;

	if (!k) {
		if (has_ended(t) || !chosen(t) || !in_netns(t))
			return 0;
		if (bpf_map_update_elem(&tasks, &tid, &fresh, BPF_ANY)) {
			__sync_fetch_and_add(&total.full, 1);
			return 0;
		}
		k = bpf_map_lookup_elem(&tasks, &tid);
		if (!k)
			return 0;
	}
	on = k->on;
	k->on = 0;
	k->cpu = bpf_get_smp_processor_id();
	k->off = at;
	k->woken = goes_on ? at : 0;
	k->waker = 0;
	k->stack = goes_on ? -1 : bpf_get_stackid(ctx, &stacks, 0);
	k->disk = BPF_CORE_READ_BITFIELD_PROBED((struct task_struct___more *)t, in_iowait);
	stack = k->stack;
	if (has_ended(t)) /* for the last time */
		bpf_map_delete_elem(&tasks, &tid);
	if (!on)
		return 0;
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, RAN, t, on, at);
	n->preempted = goes_on;
	n->stack = stack;
	n->other = BPF_CORE_READ(next, tgid);
	name_of(n->other_comm, next);
	give(n);
	return 0;
}

static __always_inline int slept(struct task_struct *t, struct task *k)
{
	struct note *n;

	if (!k->woken || k->woken <= k->off)
		return 0;
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, SLEPT, t, k->off, k->woken);
	n->stack = k->stack;
	n->disk = k->disk;
	n->other = k->waker;
	__builtin_memcpy(n->other_comm, k->waker_comm, sizeof(n->other_comm));
	give(n);
	return 0;
}

static __always_inline int waited(struct task_struct *t, u64 since, struct slices *now, u64 at)
{
	struct slice *s = longest(now, since, BPF_CORE_READ(t, pid));
	struct note *n = reserve(struct note);

	if (!n)
		return lost();
	fill(n, WAITED, t, since, at);
	if (s) {
		n->other = s->tgid;
		__builtin_memcpy(n->other_comm, s->comm, sizeof(n->other_comm));
	}
	give(n);
	return 0;
}

/* A task gets the processor. */
static __always_inline int comes(struct task_struct *t, struct slices *now, u64 at)
{
	u32 tid = BPF_CORE_READ(t, pid);
	struct task *k = bpf_map_lookup_elem(&tasks, &tid);
	u64 since;

	if (!k)
		return 0;
	k->on = at;
	if (!k->off)
		return 0;
	slept(t, k);
	since = k->woken ? k->woken : at; /* its waking was not seen */
	k->off = 0;
	return waited(t, since, now, at);
}

/* Two programs, as one would be too large for the verifier of 5.10. What a task leaves
 * and when the next one comes are the same instant, but for the time between the two. */
SEC("tp_btf/sched_switch")
int BPF_PROG(left, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return leaves(ctx, prev, next, bpf_ktime_get_ns());
}

SEC("tp_btf/sched_switch")
int BPF_PROG(came, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 at = bpf_ktime_get_ns();
	u32 zero = 0;
	struct slices *now = bpf_map_lookup_elem(&nows, &zero);

	if (!now)
		return 0;
	keep_slice(now, prev, at);
	return comes(next, now, at);
}

static __always_inline int woken(struct task_struct *t)
{
	struct task_struct *waker = (struct task_struct *)bpf_get_current_task();
	u32 tid = BPF_CORE_READ(t, pid);
	struct task *k = bpf_map_lookup_elem(&tasks, &tid);

	if (!k || k->woken || !k->off)
		return 0;
	k->woken = bpf_ktime_get_ns();
	k->waker = BPF_CORE_READ(waker, tgid);
	name_of(k->waker_comm, waker);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(wakes, struct task_struct *t)
{
	return woken(t);
}

/* A new task waits from its beginning on. */
SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(begins, struct task_struct *t)
{
	u32 tid = BPF_CORE_READ(t, pid);
	struct task k = {.stack = -1};

	if (!chosen(t) || !in_netns(t))
		return 0;
	k.off = k.woken = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&tasks, &tid, &k, BPF_ANY))
		__sync_fetch_and_add(&total.full, 1);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(moves, struct task_struct *t, int to)
{
	u32 tid = BPF_CORE_READ(t, pid);
	struct task *k = bpf_map_lookup_elem(&tasks, &tid);
	struct note *n;
	u32 from;
	u64 at;

	if (!k)
		return 0;
	from = k->cpu;
	at = bpf_ktime_get_ns();
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, MOVED, t, at, at);
	n->a = from;
	n->b = to;
	give(n);
	return 0;
}
