/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which tasks an observer looks at: those of one process, those with a name, those of
 * a control group; together they must all hold. kernel.Choice sets the constants.
 */
#ifndef BEARCAT_CHOSEN_H
#define BEARCAT_CHOSEN_H

#include "scope.h"

const volatile u32 only_tgid = 0;
const volatile u32 only_comm_len = 0;
const volatile char only_comm[16] = {};
const volatile u32 own = 0; /* the observer's process, which is left out */

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
static __always_inline bool chosen(struct task_struct *t)
{
	u32 tgid = BPF_CORE_READ(t, tgid);

	if (tgid == own || (only_tgid && tgid != only_tgid))
		return false;
	if (only_comm_len && !named(t) && !named(BPF_CORE_READ(t, group_leader)))
		return false;
	return scope_kind != BC_SCOPE_CGROUP || bc_task_in_cgroup((u64)t);
}

#endif
