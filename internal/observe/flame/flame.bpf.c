//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Counts stacks in the kernel. Each program is one occasion at which the stacks of the
 * task that runs are taken: a clock, a switch, a fault, a call, a wake-up, an
 * allocation, a drop. One object holds all; the loader keeps those of one kind.
 */
#include "vmlinux.h"
#include "group.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define DEPTH 127 /* what the kernel allows by itself */
#define STACKS 16384
#define COUNTS 32768
#define TASKS 32768
#define USER_STACK (1 << 8) /* BPF_F_USER_STACK */
#define PAGE 4096

/* Stacks that are not there: of a task without one, and for want of room. */
#define NO_STACK -1
#define LOST_STACK -2

struct stack_key {
	u32 tgid;
	u32 target; /* the process that is woken */
	s32 kernel;
	u32 call; /* the system call's number */
	s64 user; /* as kernel, or the name of a stack in user_stacks */
	char comm[16];
	char target_comm[16];
};

struct stack_count {
	u64 count;
	u64 value; /* nanoseconds or bytes */
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, DEPTH * sizeof(u64));
} stacks SEC(".maps");

/* A map of stacks has one place for all with the same hash. Those that find it taken
 * go here, so that only the third of three is lost. Their ids begin behind the others. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, DEPTH * sizeof(u64));
} more_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, COUNTS);
	__type(key, struct stack_key);
	__type(value, struct stack_count);
} counts SEC(".maps");

struct away {
	struct stack_key key;
	u64 at;
};

/* Tasks that are off the processor, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TASKS);
	__type(key, u32);
	__type(value, struct away);
} gone SEC(".maps");

enum { LOST_COUNT, LOST_TRACE, LOST_TASK, NLOST };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NLOST);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static __always_inline void count_lost(u32 what)
{
	u64 *n = bpf_map_lookup_elem(&lost, &what);

	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline bool idle(struct task_struct *t)
{
	return BPF_CORE_READ(t, pid) == 0;
}

static __always_inline bool wanted(struct task_struct *t)
{
	return chosen(t) && in_netns(t);
}

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

#include "unwind.h"

static __always_inline s32 stack_of(void *ctx, u64 flags)
{
	long id = bpf_get_stackid(ctx, &stacks, flags);

	if (id >= 0)
		return id;
	if (id == -17) {
		id = bpf_get_stackid(ctx, &more_stacks, flags);
		if (id >= 0)
			return id + STACKS;
	}
	if (id != -17 && id != -12) /* EEXIST and ENOMEM; otherwise there is none */
		return NO_STACK;
	count_lost(LOST_TRACE);
	return LOST_STACK;
}

/* The stack of the user's part, by tables where they are made, else by frame pointers. */
static __always_inline s64 user_stack_of(void *ctx, u32 tgid)
{
	s64 id = unwound(tgid);

	if (id == BY_POINTER)
		return stack_of(ctx, USER_STACK);
	if (id == LOST_STACK)
		count_lost(LOST_TRACE);
	return id;
}

/* Says of the current task who it is and where. */
static __always_inline void describe(void *ctx, struct stack_key *key)
{
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(key->comm, sizeof(key->comm));
	key->kernel = stack_of(ctx, 0);
	key->user = key->tgid ? user_stack_of(ctx, key->tgid) : NO_STACK;
}

static __always_inline void add(struct stack_key *key, u64 value)
{
	struct stack_count *c = bpf_map_lookup_elem(&counts, key), none = {};

	if (!c) {
		bpf_map_update_elem(&counts, key, &none, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&counts, key);
		if (!c) {
			count_lost(LOST_COUNT);
			return;
		}
	}
	__sync_fetch_and_add(&c->count, 1);
	if (value) /* an addition of 0 would become an instruction that 5.10 has not */
		__sync_fetch_and_add(&c->value, value);
}

static __always_inline int take(void *ctx, u32 call, u64 value)
{
	struct stack_key key = { .call = call };

	describe(ctx, &key);
	add(&key, value);
	return 0;
}

SEC("perf_event")
int on_clock(void *ctx)
{
	struct task_struct *t = current_task();

	if (idle(t) || !wanted(t))
		return 0;
	return take(ctx, 0, 0);
}

/* A task that has ended leaves the processor for good, which is no waiting. */
static __always_inline bool ended(struct task_struct *t)
{
	return BPF_CORE_READ((struct task_struct___flame *)t, exit_state) != 0;
}

/* offcpu: the stack is that of leaving the processor, the time is known at the return. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct away new = {}, *old;
	u64 now = bpf_ktime_get_ns(), at;
	u32 pid = BPF_CORE_READ(prev, pid);

	if (pid && wanted(prev) && !ended(prev)) {
		describe(ctx, &new.key);
		new.at = now;
		if (bpf_map_update_elem(&gone, &pid, &new, BPF_ANY))
			count_lost(LOST_TASK);
	}
	pid = BPF_CORE_READ(next, pid);
	old = bpf_map_lookup_elem(&gone, &pid);
	if (!old)
		return 0;
	at = old->at;
	old->at = 0; /* a refused delete must not count it again */
	if (at && now > at) {
		new.key = old->key;
		add(&new.key, now - at);
	}
	bpf_map_delete_elem(&gone, &pid);
	return 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(on_fault, unsigned long address, struct pt_regs *regs, unsigned long error)
{
	if (!wanted(current_task()))
		return 0;
	return take(ctx, 0, 0);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, struct pt_regs *regs, long id)
{
	if (!wanted(current_task()))
		return 0;
	return take(ctx, id, 0);
}

/* wake: those who wake a task that is asked for. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *p)
{
	struct stack_key key = {};

	if (idle(p) || !wanted(p))
		return 0;
	describe(ctx, &key);
	key.target = BPF_CORE_READ(p, tgid);
	name_of(key.target_comm, p);
	add(&key, 0);
	return 0;
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(on_alloc, void *page, unsigned int order)
{
	if (!wanted(current_task()))
		return 0;
	return take(ctx, 0, (u64)PAGE << (order & 31));
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop, void *skb, void *location)
{
	if (!wanted(current_task()))
		return 0;
	return take(ctx, 0, 0);
}

const struct stack_key *unused_key __attribute__((unused));
const struct stack_count *unused_count __attribute__((unused));
