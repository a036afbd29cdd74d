/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Counts how many ports and addresses a source tries, and says when they are many.
 */
#ifndef BEARCAT_FW_SCAN_H
#define BEARCAT_FW_SCAN_H

#include "lists.h"

TABLE(scans, BPF_MAP_TYPE_ARRAY, SCANS, u32, struct fw_scan, 0);

struct scan_try {
	struct addr6 source;
	u64 target_hi, target_lo;
	u32 device;
	u32 rule;
	u16 port;
	u8 has_port;
	u8 reason;
};

/* Sets the bit of a hash; 1 where it was not set. */
static __always_inline u32 set_bit(u64 *bits, u64 hash)
{
	u64 bit = 1ULL << (hash >> 32 & 63);

	if (*bits & bit)
		return 0;
	*bits |= bit;
	return 1;
}

/* Notes one try, and makes an event of the one that makes it a scan: one for each window. */
static __always_inline void note_try(struct fw_control *c, struct scan_try *t, u64 now_ns)
{
	struct fw_log r = { .kind = LOG_SCAN, .counter = t->rule, .reason = t->reason, .device = t->device };
	u32 key, tag, now = now_ns / 1000000000ULL;
	struct fw_scan *s;
	u64 hi, lo, h;

	__builtin_memcpy(&hi, t->source.addr, 8);
	__builtin_memcpy(&lo, t->source.addr + 8, 8);
	if (hi || (u32)lo != 0xffff0000) { /* whoever has one address of IPv6 has the 64 bits behind it */
		widen(&t->source);
		lo = 0;
	}
	h = mix(mix(mix(c->seed, hi), lo), LOG_SCAN);
	tag = h;
	key = h >> 32 & (SCANS - 1);
	s = bpf_map_lookup_elem(&scans, &key);
	if (!s)
		return;
	if (s->source != tag || now - s->since >= c->scans) {
		s->source = tag;
		s->since = now;
		s->ports = s->targets = 0;
		s->port_count = s->target_count = 0;
		s->told = 0;
	}
	if (s->told)
		return;
	if (t->has_port)
		s->port_count += set_bit(&s->ports, mix(c->seed, t->port));
	s->target_count += set_bit(&s->targets, mix(mix(c->seed, t->target_hi), t->target_lo));
	if (s->port_count < SCAN_COUNT && s->target_count < SCAN_COUNT)
		return;
	s->told = 1;
	r.time = bpf_ktime_get_boot_ns();
	r.strikes = s->port_count;
	r.length = s->target_count;
	__builtin_memcpy(r.addr, t->source.addr, 16);
	bpf_ringbuf_output(&events, &r, sizeof(r), 0);
}

#endif
