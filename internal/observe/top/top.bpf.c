//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What is summed up for each process, or control group, in the kernel, an interval at a
 * time. One object holds the programs of all views; the loader keeps those of one.
 *
 * An entry belongs to an interval by its key. When user space has raised the interval's
 * number, nobody adds to the older entries any more: it reads them and removes them.
 */
#include "vmlinux.h"
#include "scope.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ENTRIES 8192
#define TASKS 32768

const volatile u32 only_tgid = 0;
const volatile u32 only_comm_len = 0;
const volatile char only_comm[16] = {};
const volatile u32 own = 0; /* the observer's process, which is left out */
const volatile u32 by_cgroup = 0;

struct who {
	u64 id; /* a process, or a control group */
	u32 epoch;
	u32 pad;
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

static __always_inline void name_of(char *out, struct task_struct *t)
{
	bpf_probe_read_kernel(out, 16, (void *)t + bpf_core_field_offset(struct task_struct, comm));
}

static __always_inline bool named(struct task_struct *t)
{
	char comm[16] = {};

	name_of(comm, t);
	for (u32 i = 0; i < 16 && i < only_comm_len; i++)
		if (comm[i] != only_comm[i])
			return false;
	return only_comm_len >= 15 || comm[only_comm_len & 15] == 0;
}

/* Whether a task is among those that are asked for. */
static __always_inline bool wanted(struct task_struct *t)
{
	u32 tgid = BPF_CORE_READ(t, tgid);

	if (!tgid || tgid == own || (only_tgid && tgid != only_tgid))
		return false;
	if (only_comm_len && !named(t) && !named(BPF_CORE_READ(t, group_leader)))
		return false;
	return scope_kind != BC_SCOPE_CGROUP || bc_task_in_cgroup((u64)t);
}

/* The entry's key for a task, in an interval. */
static __always_inline void key_of(struct who *key, struct task_struct *t, u32 epoch)
{
	key->epoch = epoch;
	if (by_cgroup)
		key->id = BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);
	else
		key->id = BPF_CORE_READ(t, tgid);
}

#include "cpu.h"

const struct who *unused_who __attribute__((unused));
