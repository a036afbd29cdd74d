//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Times, gathered into histograms in the kernel: of waiting for a processor, of
 * running, of being away from it, of interrupts and of system calls; those of packets,
 * connections and disks are in objects.h. One object holds
 * the programs of all kinds; the loader keeps those of one.
 */
#include "vmlinux.h"
#include "runnable.h"
#include "waited.h"
#include "block.h"
#include "slot.h"
#include "group.h"
#include "net.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SLOTS (64 * SUB)
#define GROUPS 2048
#define TASKS 32768

enum hist_by { BY_ALL, BY_PROCESS, BY_CPU, BY_OWN, BY_GROUP };

struct hist_key {
	u64 id;
	char name[16];
};

struct hist {
	u64 count;
	u64 sum;
	u64 max;
	u64 slot[SLOTS];
};

struct begun {
	u64 at;
	u64 what; /* the call's number, or the kind of a fault */
};

const volatile u32 by = BY_ALL;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUPS);
	__type(key, struct hist_key);
	__type(value, struct hist);
} hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TASKS);
	__type(key, u32);
	__type(value, struct begun);
} begun SEC(".maps");

/* By processor: what an interrupt needs, and what idle time would. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct begun);
} on_cpu SEC(".maps");

/* An empty histogram to begin from, which is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hist);
} empty SEC(".maps");

/* Where nothing is grouped there is one for each processor, which nobody shares. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hist);
} together SEC(".maps");

enum { LOST_GROUP, LOST_TASK, NLOST };

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

/* 1 while it counts: the programs are attached and detached one by one, which takes long
 * where the processor is busy. */
u32 counting;

static __always_inline struct hist *hist_of(struct hist_key *key)
{
	struct hist *h, *none;
	u32 zero = 0;

	if (by == BY_ALL)
		return bpf_map_lookup_elem(&together, &zero);
	h = bpf_map_lookup_elem(&hists, key);
	if (h)
		return h;
	none = bpf_map_lookup_elem(&empty, &zero);
	if (!none)
		return NULL;
	bpf_map_update_elem(&hists, key, none, BPF_NOEXIST);
	h = bpf_map_lookup_elem(&hists, key);
	if (!h)
		count_lost(LOST_GROUP);
	return h;
}

static __always_inline void add(struct hist_key *key, u64 ns)
{
	struct hist *h;
	u32 slot;

	if (!counting)
		return;
	h = hist_of(key);
	if (!h)
		return;
	slot = slot_of(ns);
	/* the compiler may know that it is in range and leave the check out, which the
	 * verifier needs */
	asm volatile("" : "+r"(slot));
	if (slot >= SLOTS)
		return;
	/* from 6.19 on a program may be interrupted by itself, on one processor too */
	__sync_fetch_and_add(&h->slot[slot], 1);
	__sync_fetch_and_add(&h->count, 1);
	__sync_fetch_and_add(&h->sum, ns);
	if (ns > h->max)
		h->max = ns;
}

/* As chosen(), for a task whose fields the verifier lets a program read as they are. */
static __always_inline bool wanted(struct task_struct *t)
{
	if (t->pid == 0 || t->tgid == own)
		return false;
	if (only_tgid && t->tgid != only_tgid)
		return false;
	if (only_comm_len && !named(t) && !named(t->group_leader))
		return false;
	return in_netns(t) && (scope_kind != BC_SCOPE_CGROUP || bc_task_in_cgroup((u64)t));
}

static __always_inline void add_for(struct task_struct *t, u64 ns)
{
	struct hist_key key = {};

	if (by == BY_PROCESS) {
		key.id = t->tgid;
		BPF_CORE_READ_INTO(&key.name, t, group_leader, comm);
	} else if (by == BY_CPU) {
		key.id = bpf_get_smp_processor_id();
	} else if (by == BY_GROUP) {
		key.id = group_of(t);
	}
	add(&key, ns);
}

/* For one that comes to run, also by who had the processor just before it. */
static __always_inline void add_after(struct task_struct *prev, struct task_struct *next, u64 ns)
{
	struct hist_key key = {};

	if (by != BY_OWN) {
		add_for(next, ns);
		return;
	}
	key.id = prev->tgid;
	BPF_CORE_READ_INTO(&key.name, prev, group_leader, comm);
	add(&key, ns);
}

static __always_inline void begin(u32 pid, u64 what)
{
	struct begun b = { .at = bpf_ktime_get_ns(), .what = what };

	if (bpf_map_update_elem(&begun, &pid, &b, BPF_ANY))
		count_lost(LOST_TASK);
}

/* The time since begin, 0 where there was none. */
static __always_inline u64 end(u32 pid, u64 *what)
{
	struct begun *b = bpf_map_lookup_elem(&begun, &pid);
	u64 at, now;

	if (!b)
		return 0;
	at = b->at;
	now = bpf_ktime_get_ns();
	if (what)
		*what = b->what;
	/* A delete may be refused where the map's lock is held below this program: the
	 * time must not count again. */
	b->at = 0;
	bpf_map_delete_elem(&begun, &pid);
	return at && now > at ? now - at : 0;
}

/* runq: from being made runnable, or put off the processor while runnable, to running. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(runq_wakeup, struct task_struct *p)
{
	if (wanted(p))
		begin(p->pid, 0);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(runq_wakeup_new, struct task_struct *p)
{
	if (wanted(p))
		begin(p->pid, 0);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(runq_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 ns;

	if (wanted(prev) && (preempt || runnable(prev)))
		begin(prev->pid, 0);
	if (wanted(next)) {
		ns = end(next->pid, NULL);
		if (ns)
			add_after(prev, next, ns);
	}
	return 0;
}

/* The same where the kernel keeps how long tasks wait. */
SEC("tp_btf/sched_switch")
int BPF_PROG(runq_arrive, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 ns;

	if (!wanted(next))
		return 0;
	ns = waited(next);
	if (ns)
		add_after(prev, next, ns);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(runq_move, struct task_struct *p)
{
	moved(p);
	return 0;
}

/* oncpu: from being put on the processor to leaving it. */
SEC("tp_btf/sched_switch")
int BPF_PROG(oncpu_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 ns;

	if (wanted(prev)) {
		ns = end(prev->pid, NULL);
		if (ns)
			add_for(prev, ns);
	}
	if (wanted(next))
		begin(next->pid, 0);
	return 0;
}

/* offcpu: from leaving the processor to be put on one again. */
SEC("tp_btf/sched_switch")
int BPF_PROG(offcpu_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 ns;

	if (wanted(prev))
		begin(prev->pid, 0);
	if (wanted(next)) {
		ns = end(next->pid, NULL);
		if (ns)
			add_for(next, ns);
	}
	return 0;
}

static __always_inline int irq_begin(u32 which)
{
	struct begun *b = bpf_map_lookup_elem(&on_cpu, &which);

	if (b)
		b->at = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int irq_end(u32 which, u32 id, const char *name)
{
	struct begun *b = bpf_map_lookup_elem(&on_cpu, &which);
	struct hist_key key = {};

	if (!b || !b->at)
		return 0;
	if (by == BY_OWN) {
		key.id = id;
		if (name)
			bpf_probe_read_kernel_str(key.name, sizeof(key.name), name);
	} else if (by == BY_CPU) {
		key.id = bpf_get_smp_processor_id();
	}
	add(&key, bpf_ktime_get_ns() - b->at);
	b->at = 0;
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_begin, unsigned int vec)
{
	return irq_begin(0);
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_end, unsigned int vec)
{
	return irq_end(0, vec, NULL);
}

struct irqaction {
	const char *name;
} __attribute__((preserve_access_index));

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(irq_handler_begin, int irq, struct irqaction *action)
{
	return irq_begin(1);
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(irq_handler_end, int irq, struct irqaction *action)
{
	return irq_end(1, irq, BPF_CORE_READ(action, name));
}

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* As wanted, for the current task. */
static __always_inline bool current_wanted(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (tgid == own || (only_tgid && tgid != only_tgid))
		return false;
	if (!only_comm_len && !only_netns && scope_kind != BC_SCOPE_CGROUP)
		return true;
	return chosen(current_task()) && in_netns(current_task());
}

/* Adds a time to the group of the current task; what is of the kind's own. */
static __always_inline void add_current(u64 what, u64 ns)
{
	struct hist_key key = {};

	if (by == BY_OWN) {
		key.id = what;
	} else if (by == BY_PROCESS) {
		key.id = bpf_get_current_pid_tgid() >> 32;
		BPF_CORE_READ_INTO(&key.name, current_task(), group_leader, comm);
	} else if (by == BY_CPU) {
		key.id = bpf_get_smp_processor_id();
	} else if (by == BY_GROUP) {
		key.id = group_of(current_task());
	}
	add(&key, ns);
}

/* syscall: from entry to return. */
SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_begin, struct pt_regs *regs, long id)
{
	if (current_wanted())
		begin((u32)bpf_get_current_pid_tgid(), id);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_end, struct pt_regs *regs, long ret)
{
	u64 ns, what = 0;

	if (!current_wanted())
		return 0;
	ns = end((u32)bpf_get_current_pid_tgid(), &what);
	if (ns)
		add_current(what, ns);
	return 0;
}

#include "function.h"
#include "objects.h"

const struct hist_key *unused_key __attribute__((unused));
