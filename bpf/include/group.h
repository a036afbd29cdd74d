/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The control group and the network namespace of a task, for observers that group by
 * the one or keep the other. kernel.Groups and kernel.Choice set the constants.
 */
#ifndef BEARCAT_GROUP_H
#define BEARCAT_GROUP_H

#include "chosen.h"

const volatile u32 only_netns = 0; /* the number of a network namespace; 0 for all */
/* A subsystem's number, for a v1 hierarchy; -1 for v2. */
const volatile int group_subsys = -1;

/* The number of a task's control group, which is that of its directory. */
static __always_inline u64 group_of(struct task_struct *t)
{
	u64 set = (u64)BPF_CORE_READ(t, cgroups);
	u64 css = 0;

	if (group_subsys >= 0)
		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)(set + bpf_core_field_offset(struct css_set, subsys) +
					       8 * (u32)group_subsys));
	else
		css = (u64)BPF_CORE_READ((struct css_set *)set, dfl_cgrp) +
		      bpf_core_field_offset(struct cgroup, self);
	return BPF_CORE_READ((struct cgroup_subsys_state *)css, cgroup, kn, id);
}

/* Whether a task is in the network namespace that is asked for. One that ends has left
 * its own already. */
static __always_inline bool in_netns(struct task_struct *t)
{
	return !only_netns || BPF_CORE_READ(t, nsproxy, net_ns, ns.inum) == only_netns;
}

#endif
