/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The lists of sources: who is blocked, and who is banned.
 */
#ifndef BEARCAT_FW_SOURCES_H
#define BEARCAT_FW_SOURCES_H

#include "tables.h"

/* The key of a ban of a frame's source. */
static __always_inline void source_key(struct fw_frame *f, struct addr6 *k)
{
	if (f->family == 4)
		map4(k, f->saddr);
	else
		__builtin_memcpy(k->addr, f->saddr, 16);
}

static __always_inline int near(u32 addr)
{
	u32 net = bpf_ntohl(addr) >> 8, key = net >> 6;
	u64 *word = bpf_map_lookup_elem(&near4, &key);

	return !word || *word >> (net & 63) & 1;
}

static __always_inline int banned(struct fw_control *c, struct addr6 *k)
{
	u32 table = c->marks & 1;
	struct marks *m = bpf_map_lookup_elem(&marks, &table);
	struct fw_ban *b;

	if (m && !m->at[mark_of(c->seed, k)])
		return 0;
	b = bpf_map_lookup_elem(&bans, k);
	if (!b || b->until <= bpf_ktime_get_boot_ns())
		return 0;
	b->hits++;
	return 1;
}

static __always_inline u32 blocked(struct fw_frame *f, struct fw_control *c)
{
	u64 blocks = c->blocks;
	struct fw_block *b = NULL;

	if (f->family == 4) {
		u32 addr;

		__builtin_memcpy(&addr, f->saddr, 4);
		if (blocks & (B_ADDR4 | B_NET4) && near(addr)) {
			if (blocks & B_ADDR4)
				b = bpf_map_lookup_elem(&block4, &addr);
			if (b && expired(b))
				b = NULL;
			if (!b && blocks & B_NET4) {
				struct lpm4 k = { .bits = 32 };

				__builtin_memcpy(k.addr, f->saddr, 4);
				b = bpf_map_lookup_elem(&blocknet4, &k);
			}
		}
	} else {
		if (blocks & B_ADDR6)
			b = bpf_map_lookup_elem(&block6, f->saddr);
		if (b && expired(b))
			b = NULL;
		if (!b && blocks & B_NET6) {
			struct lpm6 k = { .bits = 128 };

			__builtin_memcpy(k.addr, f->saddr, 16);
			b = bpf_map_lookup_elem(&blocknet6, &k);
		}
	}
	if (b && !expired(b)) {
		b->hits++;
		return R_BLOCK;
	}
	if (blocks & B_BAN) {
		struct addr6 k = {};

		source_key(f, &k);
		if (banned(c, &k))
			return R_BAN;
		if (f->family == 6 && blocks & B_BANNET) {
			widen(&k);
			if (banned(c, &k))
				return R_BAN;
		}
	}
	return 0;
}

#endif
