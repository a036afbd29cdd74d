/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The slots of a histogram of nanoseconds: four for each power of two. */
#ifndef BEARCAT_SLOT_H
#define BEARCAT_SLOT_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define SUB 4

static __always_inline u32 slot_of(u64 ns)
{
	u32 log = 0, v;

	if (ns < SUB)
		return ns;
	if (ns >> 32) {
		log = 32;
		v = ns >> 32;
	} else {
		v = ns;
	}
	if (v >> 16) {
		log += 16;
		v >>= 16;
	}
	if (v >> 8) {
		log += 8;
		v >>= 8;
	}
	if (v >> 4) {
		log += 4;
		v >>= 4;
	}
	if (v >> 2) {
		log += 2;
		v >>= 2;
	}
	log += v >> 1;
	return log * SUB + ((ns >> (log - 2)) & (SUB - 1));
}

#endif
