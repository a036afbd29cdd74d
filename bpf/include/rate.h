/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How many things may begin to be followed a second; the others are counted. */
#ifndef BEARCAT_RATE_H
#define BEARCAT_RATE_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile u32 most = 1000; /* a second */

u64 sampled; /* left out: more a second than are followed */
u64 rate_begun, rate_second;

/* Whether one more may begin. Several processors may count one less: it is a limit and no
 * account. */
static __always_inline bool admitted(u64 at)
{
	if (at - rate_second > 1000000000ULL) {
		rate_second = at;
		rate_begun = 0;
	}
	if (rate_begun++ < most)
		return true;
	__sync_fetch_and_add(&sampled, 1);
	return false;
}

#endif
