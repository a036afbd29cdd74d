/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whether a task that leaves a processor could go on. */
#ifndef BEARCAT_RUNNABLE_H
#define BEARCAT_RUNNABLE_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct___new {
	unsigned int __state;
} __attribute__((preserve_access_index));

struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

/* 5.14 renamed the state (commit 2f064a59a11f "sched: Change task_struct::state"). */
static __always_inline bool runnable(struct task_struct *t)
{
	if (bpf_core_field_exists(((struct task_struct___new *)0)->__state))
		return BPF_CORE_READ((struct task_struct___new *)t, __state) == 0;
	return BPF_CORE_READ((struct task_struct___old *)t, state) == 0;
}

#endif
