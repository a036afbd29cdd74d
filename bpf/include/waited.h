/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How long a task has waited for the processor that it gets: from what the kernel itself
 * keeps of each task (CONFIG_SCHED_INFO), so that no wake-up has to be looked at.
 *
 * The kernel notes when a task is put into a queue, and adds to its sum when it leaves one
 * for another or gets the processor. What it waited in queues before this one is the growth
 * of the sum since it last got a processor, which is noted here.
 */
#ifndef BEARCAT_WAITED_H
#define BEARCAT_WAITED_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define ARRIVALS 65536 /* a power of two */

struct sched_info___bc {
	unsigned long pcount;
	unsigned long long run_delay;
	unsigned long long last_queued;
} __attribute__((preserve_access_index));

struct rq___bc {
	u64 clock;
} __attribute__((preserve_access_index));

struct cfs_rq___bc {
	struct rq___bc *rq;
} __attribute__((preserve_access_index));

struct sched_entity___bc {
	struct cfs_rq___bc *cfs_rq;
} __attribute__((preserve_access_index));

/* Since 6.12. */
struct sched_entity___delayed {
	unsigned char sched_delayed;
} __attribute__((preserve_access_index));

struct task_struct___waits {
	struct sched_info___bc sched_info;
	struct sched_entity___bc se;
} __attribute__((preserve_access_index));

struct task_struct___delays {
	struct sched_entity___delayed se;
} __attribute__((preserve_access_index));

struct arrival {
	u64 delay;   /* in all, when it last got a processor */
	u64 count;   /* how often it had got one before */
	u32 pid;
	u32 unknown; /* its next wait is not known */
};

/* By the end of a thread's number: two that have the same one only lose what they waited
 * in queues before the last. An array costs a few instructions, where a table costs hundreds. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ARRIVALS);
	__type(key, u32);
	__type(value, struct arrival);
} arrivals SEC(".maps");

static __always_inline struct arrival *arrival_of(u32 pid)
{
	u32 at = pid & (ARRIVALS - 1);

	return bpf_map_lookup_elem(&arrivals, &at);
}

/* At sched_switch, for the task that comes: nanoseconds, 0 where they are not known. */
static __always_inline u64 waited(struct task_struct *next)
{
	struct task_struct___waits *t = (void *)next;
	u64 queued = t->sched_info.last_queued, now, delay, count, ns;
	struct arrival *a;

	if (!queued)
		return 0;
	now = t->se.cfs_rq->rq->clock;
	a = arrival_of(next->pid);
	if (!a || now <= queued)
		return 0;
	ns = now - queued;
	delay = t->sched_info.run_delay + ns;
	count = t->sched_info.pcount;
	if (a->pid == next->pid) {
		if (a->unknown)
			ns = 0;
		else if (a->count + 1 == count && delay > a->delay)
			ns = delay - a->delay;
	}
	a->delay = delay;
	a->count = count;
	a->pid = next->pid;
	a->unknown = 0;
	return ns;
}

/* At sched_migrate_task. A task that sleeps may still be in its queue since 6.12, and when
 * it is moved to another one there, the kernel takes its sleep for waiting. */
static __always_inline void moved(struct task_struct *task)
{
	struct arrival *a;

	if (!bpf_core_field_exists(((struct task_struct___delays *)0)->se.sched_delayed))
		return;
	if (!((struct task_struct___delays *)task)->se.sched_delayed)
		return;
	a = arrival_of(task->pid);
	if (!a)
		return;
	a->pid = task->pid;
	a->unknown = 1;
}

#endif
