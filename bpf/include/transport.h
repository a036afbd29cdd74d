/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * From a program to user space: rings by class, records numbered by stream
 * and CPU, and everything that could not be sent counted.
 */
#ifndef BEARCAT_TRANSPORT_H
#define BEARCAT_TRANSPORT_H

#include "record.h"
#include <bpf/bpf_helpers.h>

/* Sizes are set by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} critical SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} bulk SEC(".maps");

struct bc_counter {
	u64 produced; /* records numbered, sent or not */
	u64 lost;     /* of these, those the ring had no room for */
	u64 runs;
	u64 filtered; /* out of scope */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BC_STREAMS * BC_COPIES_MAX);
	__type(key, u32);
	__type(value, struct bc_counter);
} counters SEC(".maps");

/*
 * Since 7.0 tracepoints are preemptible, and the kernel skips a program that
 * is already running on the CPU: a task that is put on the CPU in the middle
 * of another's exec would go unseen. There the loader attaches each program
 * several times over. The first copy that is free takes the event and notes
 * it in marks, and the others leave it alone. To lose one, each copy would
 * have to be interrupted inside the one before.
 */
const volatile u32 copy = 0;
const volatile u32 copies = 1;

struct bc_mark {
	u32 pid;
	u32 stream;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* set by the loader where there are copies */
	__type(key, struct bc_mark);
	__type(value, u64);
} marks SEC(".maps");

/* Whether this copy is to handle the event that token tells from all others
 * of the same process and stream. The mark's last byte has a bit for each copy that
 * has met it. */
static __always_inline bool bc_mine(u32 pid, u32 stream, u64 token)
{
	struct bc_mark k = { pid, stream };
	u64 *seen, bit = 1ull << (copy & 7), old;

	if (copies == 1)
		return true;
	token = token * 0x9e3779b97f4a7c15ull & ~0xffull; /* all of it counts, in the upper bytes */
	if (copy > 0) {
		seen = bpf_map_lookup_elem(&marks, &k);
		old = seen ? *seen : 0;
		/* A mark that this copy has met before is of an earlier event, the same as
		 * this one: the last copy was not free to take it away. */
		if (seen && (old & ~0xffull) == token && !(old & bit)) {
			*seen = old | bit;
			if (copy == copies - 1)
				bpf_map_delete_elem(&marks, &k);
			return false;
		}
	}
	if (copy < copies - 1) {
		token |= (bit << 1) - 1;
		bpf_map_update_elem(&marks, &k, &token, BPF_ANY);
	}
	return true;
}

/*
 * Set by the reader before it goes to sleep for long; the first record then
 * wakes it. While it is busy it looks by itself every few milliseconds, and
 * no record pays for a wake-up, unless the ring is a quarter full.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u32);
} asleep SEC(".maps");

enum bc_class {
	BC_CRITICAL = 0,
	BC_BULK = 1,
};

const volatile u32 critical_size = 8 << 20;
const volatile u32 bulk_size = 4 << 20;

static __always_inline struct bc_counter *bc_count(u32 stream)
{
	stream += copy * BC_STREAMS;
	return bpf_map_lookup_elem(&counters, &stream);
}

static __always_inline u64 bc_wakeup(void *ring, u32 class, u32 size)
{
	u32 *want = bpf_map_lookup_elem(&asleep, &class);

	if (want && *want) {
		*want = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > size / 4)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void bc_header(struct bc_hdr *h, struct bc_counter *c, u8 kind, u8 stream,
				      u32 tid)
{
	c->produced++;
	h->boot = bpf_ktime_get_boot_ns();
	h->seq = c->produced;
	h->tid = tid;
	h->cpu = bpf_get_smp_processor_id();
	h->kind = kind;
	h->stream = stream + copy * BC_STREAMS;
}

static __always_inline void bc_send_critical(struct bc_counter *c, void *rec, u64 len)
{
	if (bpf_ringbuf_output(&critical, rec, len, bc_wakeup(&critical, BC_CRITICAL, critical_size)))
		c->lost++;
}

static __always_inline void bc_send_bulk(struct bc_counter *c, void *rec, u64 len)
{
	if (bpf_ringbuf_output(&bulk, rec, len, bc_wakeup(&bulk, BC_BULK, bulk_size)))
		c->lost++;
}

#endif
