/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The buffer of what tracers tell. Its reader looks by itself some times a second, and is
 * woken only where much has gathered: waking it for each note would disturb the tasks
 * that are looked at.
 */
#ifndef BEARCAT_NOTES_H
#define BEARCAT_NOTES_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define NOTES_SIZE (4 << 20)
#define NOTES_MANY (NOTES_SIZE / 4)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NOTES_SIZE);
} notes SEC(".maps");

u64 notes_lost; /* the buffer was full */

static __always_inline int lost(void)
{
	__sync_fetch_and_add(&notes_lost, 1);
	return 0;
}

/* Room for a note of a type. It is to be compared with NULL once: before 6.2 the verifier
 * does not see that a second comparison goes the same way. */
#define reserve(type) ((type *)bpf_ringbuf_reserve(&notes, sizeof(type), 0))

static __always_inline void give(void *note)
{
	u64 flags = BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_query(&notes, BPF_RB_AVAIL_DATA) > NOTES_MANY)
		flags = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(note, flags);
}

#endif
