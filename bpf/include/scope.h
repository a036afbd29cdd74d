/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which processes are looked at: all of them, one with all its descendants,
 * or those of a control group. Decided before anything else is read.
 */
#ifndef BEARCAT_SCOPE_H
#define BEARCAT_SCOPE_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

enum bc_scope {
	BC_SCOPE_HOST = 0,
	BC_SCOPE_PID = 1,
	BC_SCOPE_CGROUP = 2,
};

const volatile u32 scope_kind = BC_SCOPE_HOST;
const volatile u64 scope_cgroup = 0;
/* A subsystem's number, for a v1 hierarchy; -1 for v2. */
const volatile int scope_subsys = -1;

/* The thread groups in scope, for BC_SCOPE_PID; sized by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} scope_tgids SEC(".maps");

/* How many children could not be taken into scope_tgids. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} scope_full SEC(".maps");

#define BC_CGROUP_DEPTH 32

static __always_inline bool bc_cgroup_in_scope(struct task_struct *t)
{
	struct css_set *set = t->cgroups;
	struct cgroup *cg;
	u64 css;

	if (scope_subsys >= 0) {
		u64 at = (u64)set + bpf_core_field_offset(struct css_set, subsys) +
			 8 * (u32)scope_subsys;

		bpf_probe_read_kernel(&css, sizeof(css), (void *)at);
	} else {
		css = (u64)set->dfl_cgrp + bpf_core_field_offset(struct cgroup, self);
	}
	for (int i = 0; i < BC_CGROUP_DEPTH && css; i++) {
		cg = BPF_CORE_READ((struct cgroup_subsys_state *)css, cgroup);
		if (BPF_CORE_READ(cg, kn, id) == scope_cgroup)
			return true;
		css = (u64)BPF_CORE_READ((struct cgroup_subsys_state *)css, parent);
	}
	return false;
}

/* The same for a task that the verifier does not track. */
static __always_inline bool bc_task_in_cgroup(u64 task)
{
	u64 set = (u64)BPF_CORE_READ((struct task_struct *)task, cgroups);
	struct cgroup *cg;
	u64 css = 0;

	if (scope_subsys >= 0) {
		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)(set + bpf_core_field_offset(struct css_set, subsys) +
					       8 * (u32)scope_subsys));
	} else {
		css = (u64)BPF_CORE_READ((struct css_set *)set, dfl_cgrp) +
		      bpf_core_field_offset(struct cgroup, self);
	}
	for (int i = 0; i < BC_CGROUP_DEPTH && css; i++) {
		cg = BPF_CORE_READ((struct cgroup_subsys_state *)css, cgroup);
		if (BPF_CORE_READ(cg, kn, id) == scope_cgroup)
			return true;
		css = (u64)BPF_CORE_READ((struct cgroup_subsys_state *)css, parent);
	}
	return false;
}

static __always_inline bool bc_in_scope(struct task_struct *t)
{
	u32 tgid = t->tgid;

	if (scope_kind == BC_SCOPE_HOST)
		return true;
	if (scope_kind == BC_SCOPE_PID)
		return bpf_map_lookup_elem(&scope_tgids, &tgid) != NULL;
	return bc_cgroup_in_scope(t);
}

static __always_inline void bc_scope_add(u32 tgid)
{
	u32 one = 1, zero = 0;

	if (scope_kind != BC_SCOPE_PID)
		return;
	if (bpf_map_update_elem(&scope_tgids, &tgid, &one, BPF_ANY)) {
		u64 *full = bpf_map_lookup_elem(&scope_full, &zero);

		if (full)
			__sync_fetch_and_add(full, 1);
	}
}

static __always_inline void bc_scope_del(u32 tgid)
{
	if (scope_kind == BC_SCOPE_PID)
		bpf_map_delete_elem(&scope_tgids, &tgid);
}

#endif
