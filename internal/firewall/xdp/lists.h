/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The lists of sources and what is counted, for the program that judges frames
 * and for the one that watches connections.
 */
#ifndef BEARCAT_FW_LISTS_H
#define BEARCAT_FW_LISTS_H

#include "fw.h"

struct lpm4 {
	u32 bits;
	u8 addr[4];
};
struct lpm6 {
	u32 bits;
	u8 addr[16];
};

#define TABLE(name, map_type, entries, key_t, value_t, flags)                                                \
	struct {                                                                                             \
		__uint(type, map_type);                                                                      \
		__uint(max_entries, entries);                                                                \
		__uint(map_flags, flags);                                                                    \
		__type(key, key_t);                                                                          \
		__type(value, value_t);                                                                      \
	} name SEC(".maps")

struct addr6 {
	u8 addr[16];
};
struct marks {
	u8 at[MARKS];
};

/* the slot of the policy in use; by itself, so that one store switches */
TABLE(active, BPF_MAP_TYPE_ARRAY, 1, u32, u32, 0);
TABLE(control, BPF_MAP_TYPE_ARRAY, 1, u32, struct fw_control, 0);
TABLE(allow4, BPF_MAP_TYPE_LPM_TRIE, 65536, struct lpm4, struct fw_block, BPF_F_NO_PREALLOC);
TABLE(allow6, BPF_MAP_TYPE_LPM_TRIE, 65536, struct lpm6, struct fw_block, BPF_F_NO_PREALLOC);
/* bans are not LRU: a flood of new sources must not push out old ones */
TABLE(bans, BPF_MAP_TYPE_HASH, 65536, struct addr6, struct fw_ban, BPF_F_NO_PREALLOC);
/* A byte for each hash of a source that may be banned: most packets are spared the
 * look-up in the map of bans. One table is read while the other is made anew, since
 * nothing takes single bytes back. */
TABLE(marks, BPF_MAP_TYPE_ARRAY, 2, u32, struct marks, BPF_F_MMAPABLE);
TABLE(buckets, BPF_MAP_TYPE_ARRAY, BUCKETS, u32, u64, 0);
TABLE(counters, BPF_MAP_TYPE_PERCPU_ARRAY, COUNTERS, u32, struct fw_count, 0);
TABLE(guards, BPF_MAP_TYPE_ARRAY, 2, u32, struct fw_guards, 0);
TABLE(log_paid, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct fw_paid, 0);

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} drops SEC(".maps");

/* Bans as they are made, for whoever wants them as events: the log has a reader of its own.
 * What nobody reads stays there until there is no room. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

#define MAX_BAN_NS (7 * 24 * 3600 * 1000000000ULL)
#define FORGET_NS (24 * 3600 * 1000000000ULL) /* after a ban's end, its strikes are forgotten */

static __always_inline int expired(struct fw_block *b)
{
	return b->until && b->until <= bpf_ktime_get_boot_ns();
}

static __always_inline u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

/* An IPv4 address as the map of bans has it. */
static __always_inline void map4(struct addr6 *k, const void *v4)
{
	k->addr[10] = k->addr[11] = 0xff;
	__builtin_memcpy(k->addr + 12, v4, 4);
}

/* Makes the key of the 64 bits of IPv6 that one customer has. */
static __always_inline void widen(struct addr6 *k)
{
	__builtin_memset(k->addr + 8, 0, 8);
}

static __always_inline u32 mark_of(u64 seed, struct addr6 *k)
{
	u64 hi, lo, h;

	__builtin_memcpy(&hi, k->addr, 8);
	__builtin_memcpy(&lo, k->addr + 8, 8);
	/* once more, since the last bytes of an address are the highest of a word */
	h = mix(mix(mix(seed, hi), lo), 0) >> 32;
	/* the mask must come last: verifiers before 5.11 know no bounds of an xor */
	asm volatile("" : "+r"(h));
	return h & (MARKS - 1);
}

/* Whether a source is on the allow list; blocks says which kinds of entries there are. */
static __always_inline int allowed4(const void *addr, u64 blocks)
{
	struct lpm4 k = { .bits = 32 };
	struct fw_block *b;

	if (!(blocks & B_ALLOW4))
		return 0;
	__builtin_memcpy(k.addr, addr, 4);
	b = bpf_map_lookup_elem(&allow4, &k);
	return b && !expired(b);
}

static __always_inline int allowed6(const void *addr, u64 blocks)
{
	struct lpm6 k = { .bits = 128 };
	struct fw_block *b;

	if (!(blocks & B_ALLOW6))
		return 0;
	__builtin_memcpy(k.addr, addr, 16);
	b = bpf_map_lookup_elem(&allow6, &k);
	return b && !expired(b);
}

/* Whether a source has used up its rate: one number a bucket, the time until which
 * what it did is paid for. Sources that share a bucket share a rate; nothing is
 * ever evicted. */
static __always_inline int charge(u64 seed, u64 a, u64 b, u64 account, u64 cost_ns, u64 burst_ns, u64 now)
{
	u32 key = mix(mix(mix(seed, a), b), account) >> 32 & (BUCKETS - 1);
	u64 *paid = bpf_map_lookup_elem(&buckets, &key), until;

	if (!paid)
		return 0;
	until = *paid > now ? *paid : now;
	if (until - now + cost_ns > burst_ns)
		return 1;
	*paid = until + cost_ns;
	return 0;
}

/* Bans a source that is not banned yet, and says so. */
static __always_inline void ban_source(void *ctx, struct fw_control *c, struct addr6 *k, u64 ns, u32 grow, u32 by)
{
	struct fw_ban b = { .by = by }, *old = bpf_map_lookup_elem(&bans, k);
	u64 now = bpf_ktime_get_boot_ns();

	if (old) {
		if (old->until > now)
			return;
		b.hits = old->hits;
		if (now - old->until < FORGET_NS)
			b.strikes = old->strikes + 1;
	}
	if (grow)
		ns <<= b.strikes < 16 ? b.strikes : 16;
	if (ns > MAX_BAN_NS)
		ns = MAX_BAN_NS;
	b.until = now + ns;
	/* when the table is full, the frame is dropped all the same */
	if (bpf_map_update_elem(&bans, k, &b, BPF_ANY))
		return;
	/* after the ban itself: whoever makes a table anew sees one or the other */
	for (u32 i = 0; i < 2; i++) {
		u32 table = i;
		struct marks *m = bpf_map_lookup_elem(&marks, &table);

		if (m)
			m->at[mark_of(c->seed, k)] = 1;
	}
	struct fw_log r = { .time = now, .ban_ns = ns, .counter = by, .strikes = b.strikes, .kind = LOG_BAN };

	__builtin_memcpy(r.addr, k->addr, 16);
	bpf_ringbuf_output(&events, &r, sizeof(r), 0);
	if (c->log_ns)
		bpf_perf_event_output(ctx, &drops, BPF_F_CURRENT_CPU, &r, sizeof(r));
}

#endif
