//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What is summed up for each process in the kernel, an interval at a
 * time. One object holds the programs of all views; the loader keeps those of one.
 *
 * An entry belongs to an interval by its key. When user space has raised the interval's
 * number, nobody adds to the older entries any more: it reads them and removes them.
 */
#include "vmlinux.h"
#include "group.h"
#include "runnable.h"
#include "slot.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ENTRIES 8192
#define TASKS 32768

struct who {
	u32 tgid;
	u32 epoch;
};

struct interval {
	u64 began;
	u32 epoch;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct interval);
} intervals SEC(".maps");

enum { LOST_ENTRY, LOST_TASK, LOST_PAIR, NLOST };

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

static __always_inline struct interval *now_in(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&intervals, &zero);
}

/* Whether a task is among those that are asked for; idle time is nobody's. */
static __always_inline bool wanted(struct task_struct *t)
{
	return BPF_CORE_READ(t, tgid) && chosen(t) && in_netns(t);
}

/* The entry's key for a task, in an interval. */
static __always_inline void key_of(struct who *key, struct task_struct *t, u32 epoch)
{
	key->epoch = epoch;
	key->tgid = BPF_CORE_READ(t, tgid);
}

#include "cpu.h"
#include "mem.h"
#include "tcp.h"
#include "file.h"

const struct who *unused_who __attribute__((unused));
