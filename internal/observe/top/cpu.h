/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Running, waiting to run, switches and migrations, and who ran while one waited.
 */
#ifndef BEARCAT_TOP_CPU_H
#define BEARCAT_TOP_CPU_H

/* Defined before this is included: wanted(), key_of(), now_in(), the constants. */

#include "waited.h"

const volatile u32 accounted = 0; /* 1 where the kernel keeps how long tasks wait */

#define SLOTS 160 /* of slot.h; the last is for all above */
#define RUNS 8 /* that are remembered of a processor */
#define PAIRS 16384

struct cpu_stat {
	u64 on;
	u64 wait;
	u64 voluntary;
	u64 involuntary;
	u64 migrations;
	char comm[16];
	u32 slot[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__type(key, struct who);
	__type(value, struct cpu_stat);
} cpu SEC(".maps");

/* An empty entry to begin from, which is too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_stat);
} empty SEC(".maps");

/* Since when a thread waits for a processor. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TASKS);
	__type(key, u32);
	__type(value, u64);
} waiting SEC(".maps");

struct pair_key {
	u32 waiter;
	u32 epoch;
	u32 tgid; /* who ran */
};

struct pair {
	u64 ns;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PAIRS);
	__type(key, struct pair_key);
	__type(value, struct pair);
} pairs SEC(".maps");

/* A stretch in which a processor ran one process. User space adds what the last has run
 * up to an interval's end. */
struct run {
	u64 from;
	u64 to;
	u32 tgid;
	u32 wanted;
	char comm[16];
};

struct runs {
	struct run now; /* since from; to is not known yet */
	struct run past[RUNS];
	u32 next;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct runs);
} cpu_runs SEC(".maps");

/* As wanted() and key_of(), for a task whose fields the verifier lets a program read as
 * they are: each call of a helper counts, at so many switches. */
static __always_inline bool cpu_wanted(struct task_struct *t)
{
	if (!t->tgid || t->tgid == own || (only_tgid && t->tgid != only_tgid))
		return false;
	if (only_comm_len && !named(t) && !named(t->group_leader))
		return false;
	return in_netns(t) && (scope_kind != BC_SCOPE_CGROUP || bc_task_in_cgroup((u64)t));
}

static __always_inline void cpu_key(struct who *key, struct task_struct *t, u32 epoch)
{
	key->epoch = epoch;
	key->tgid = t->tgid;
}

static __always_inline struct cpu_stat *stat_of(struct who *key, struct task_struct *t)
{
	struct cpu_stat *s = bpf_map_lookup_elem(&cpu, key), *none;
	u32 zero = 0;

	if (s)
		return s;
	none = bpf_map_lookup_elem(&empty, &zero);
	if (!none)
		return NULL;
	bpf_map_update_elem(&cpu, key, none, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&cpu, key);
	if (!s)
		count_lost(LOST_ENTRY);
	else
		name_of(s->comm, t->group_leader);
	return s;
}

static __always_inline void begin_wait(struct task_struct *t, u64 now)
{
	u32 pid = t->pid;

	if (bpf_map_update_elem(&waiting, &pid, &now, BPF_ANY))
		count_lost(LOST_TASK);
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(cpu_wakeup, struct task_struct *p)
{
	if (cpu_wanted(p))
		begin_wait(p, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(cpu_wakeup_new, struct task_struct *p)
{
	if (cpu_wanted(p))
		begin_wait(p, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(cpu_migrate, struct task_struct *p)
{
	struct interval *in = now_in();
	struct who key = {};
	struct cpu_stat *s;

	if (accounted)
		moved(p);
	if (!in || !cpu_wanted(p))
		return 0;
	cpu_key(&key, p, in->epoch);
	s = stat_of(&key, p);
	if (s)
		__sync_fetch_and_add(&s->migrations, 1);
	return 0;
}

/* Of those that ran on this processor since a task began to wait, the one that ran the
 * longest is charged with that time. */
static __always_inline void blame(struct runs *r, struct who *who, u64 since)
{
	struct pair_key key = { .waiter = who->tgid, .epoch = who->epoch };
	struct pair none = {}, *p;
	u64 most = 0, from, ns;
	u32 best = 0;

	for (u32 i = 0; i < RUNS; i++) {
		from = r->past[i].from > since ? r->past[i].from : since;
		if (r->past[i].to <= from)
			continue;
		ns = r->past[i].to - from;
		if (ns > most) {
			most = ns;
			best = i;
		}
	}
	best &= RUNS - 1;
	if (!most || !r->past[best].tgid) /* it was idle: nobody's fault */
		return;
	key.tgid = r->past[best].tgid;
	p = bpf_map_lookup_elem(&pairs, &key);
	if (!p) {
		__builtin_memcpy(none.comm, r->past[best].comm, sizeof(none.comm));
		bpf_map_update_elem(&pairs, &key, &none, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&pairs, &key);
		if (!p) {
			count_lost(LOST_PAIR);
			return;
		}
	}
	__sync_fetch_and_add(&p->ns, most);
}

/* The one that leaves the processor: how long it ran, and whether it wanted to go. */
static __always_inline void leave(struct runs *r, struct task_struct *prev, bool preempt, struct interval *in, u64 now)
{
	bool stays = preempt || runnable(prev);
	struct who key = {};
	struct cpu_stat *s;
	u64 from = r->now.from;

	if (!cpu_wanted(prev))
		return;
	cpu_key(&key, prev, in->epoch);
	s = stat_of(&key, prev);
	if (!s)
		return;
	if (from < in->began) /* what came before is in the last interval */
		from = in->began;
	if (r->now.from && now > from)
		__sync_fetch_and_add(&s->on, now - from);
	if (stays) {
		__sync_fetch_and_add(&s->involuntary, 1);
		if (!accounted)
			begin_wait(prev, now);
	} else {
		__sync_fetch_and_add(&s->voluntary, 1);
	}
}

/* How long a task has waited, by when it was woken; 0 where that is not known. */
static __always_inline u64 tracked(struct task_struct *next, u64 now)
{
	u32 pid = next->pid;
	u64 *at = bpf_map_lookup_elem(&waiting, &pid), since;

	if (!at)
		return 0;
	since = *at;
	*at = 0; /* a refused delete must not count it again */
	bpf_map_delete_elem(&waiting, &pid);
	return since && now > since ? now - since : 0;
}

/* The one that comes: how long it waited, and for whom. */
static __always_inline void arrive(struct runs *r, struct task_struct *next, struct interval *in, u64 now)
{
	u64 ns = accounted ? waited(next) : tracked(next, now);
	struct who key = {};
	struct cpu_stat *s;
	u32 slot;

	if (!ns)
		return;
	cpu_key(&key, next, in->epoch);
	s = stat_of(&key, next);
	if (!s)
		return;
	slot = slot_of(ns);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	/* the compiler may know that it is in range and leave the check out, which the
	 * verifier needs */
	asm volatile("" : "+r"(slot));
	if (slot >= SLOTS)
		return;
	__sync_fetch_and_add(&s->slot[slot], 1);
	__sync_fetch_and_add(&s->wait, ns);
	blame(r, &key, now - ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(cpu_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 now = bpf_ktime_get_ns();
	struct interval *in = now_in();
	struct runs *r;
	u32 zero = 0, at;

	r = bpf_map_lookup_elem(&cpu_runs, &zero);
	if (!in || !r)
		return 0;
	leave(r, prev, preempt, in, now);
	if (r->now.from) {
		at = r->next & (RUNS - 1);
		r->next++;
		r->now.to = now;
		r->past[at] = r->now;
	}
	r->now.wanted = cpu_wanted(next);
	if (r->now.wanted)
		arrive(r, next, in, now);
	r->now.from = now;
	r->now.tgid = next->tgid;
	name_of(r->now.comm, next->group_leader);
	return 0;
}

const struct cpu_stat *unused_cpu __attribute__((unused));
const struct pair_key *unused_pair_key __attribute__((unused));
const struct pair *unused_pair __attribute__((unused));
const struct runs *unused_runs __attribute__((unused));

#endif
