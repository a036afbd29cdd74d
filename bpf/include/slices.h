/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who had a processor, of the last that did: for those that waited for it. */
#ifndef BEARCAT_SLICES_H
#define BEARCAT_SLICES_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define SLICES 16

struct slice {
	u64 from, to; /* from is 0 where it is not known */
	u32 tgid, tid;
	char comm[16];
};

struct slices {
	u64 switched; /* when the one that runs began; 0 where it is not known */
	u32 next, pad;
	struct slice of[SLICES];
};

/* Notes who leaves the processor. */
static __always_inline void keep_slice(struct slices *x, struct task_struct *prev, u64 at)
{
	struct slice *s = &x->of[x->next++ % SLICES];

	s->from = x->switched;
	s->to = at;
	s->tgid = BPF_CORE_READ(prev, tgid);
	s->tid = BPF_CORE_READ(prev, pid);
	BPF_CORE_READ_INTO(&s->comm, prev, comm);
	x->switched = at;
}

/* Who had the processor longest at a time since then, but for the thread that waited and
 * may just have left it; NULL for nobody. */
static __always_inline struct slice *longest(struct slices *x, u64 since, u32 tid)
{
	struct slice *best = NULL, *s;
	u64 most = 0, from;

	for (int i = 0; i < SLICES; i++) {
		s = &x->of[i];
		from = s->from > since ? s->from : since;
		if (s->tid != tid && s->to > from && s->to - from > most) {
			most = s->to - from;
			best = s;
		}
	}
	return best;
}

#endif
