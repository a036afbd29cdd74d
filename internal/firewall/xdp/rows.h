/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The five rows of bits that a frame leads to, one bit a rule.
 */
#ifndef BEARCAT_FW_ROWS_H
#define BEARCAT_FW_ROWS_H

#include "tables.h"

static __always_inline u32 *flat(struct fw_frame *f, u32 which, u16 value)
{
	u32 key = f->slot * FLATS + which;
	struct flat *t = bpf_map_lookup_elem(&flats, &key);

	return t ? &t->to[value] : NULL;
}

#define POINTER 0x80000000

/* The row of an IPv4 address: 16 bits in a flat table, then 8 and 8, which only addresses
 * near longer prefixes get to. */
static __always_inline u32 row4(struct fw_frame *f, u8 *addr, u32 which)
{
	u32 *first = flat(f, which, bpf_ntohs(*(u16 *)addr)), slot = f->slot, entry, key;
	struct trie_block *b;
	void *trie;

	if (!first)
		return 0;
	entry = *first;
	if (!(entry & POINTER))
		return entry;
	trie = bpf_map_lookup_elem(&tries, &slot);
	if (!trie)
		return 0;
	key = entry & ~POINTER;
	b = bpf_map_lookup_elem(trie, &key);
	if (!b)
		return 0;
	entry = b->entry[addr[2]];
	if (!(entry & POINTER))
		return entry;
	key = entry & ~POINTER;
	b = bpf_map_lookup_elem(trie, &key);
	return b ? b->entry[addr[3]] : 0;
}

static __always_inline u32 row6(void *table, u8 *addr, u32 any)
{
	struct lpm6 k = { .bits = 128 };
	u32 *row;

	__builtin_memcpy(k.addr, addr, 16);
	row = bpf_map_lookup_elem(table, &k);
	return row ? *row : any;
}

/* Finds the five rows of a frame. */
static __always_inline int find_rows(struct fw_frame *f, struct fw_config *c)
{
	u32 slot = f->slot;

	f->row[0] = f->family == 4 ? c->any4[0] : c->any6[0];
	f->row[1] = f->family == 4 ? c->any4[1] : c->any6[1];
	if (f->family == 4) {
		if (c->prefixes[0] & 1)
			f->row[0] = row4(f, f->saddr, FLAT_SOURCE);
		if (c->prefixes[1] & 1)
			f->row[1] = row4(f, f->daddr, FLAT_TARGET);
	} else {
		void *table;

		if (c->prefixes[0] & 2) {
			table = bpf_map_lookup_elem(&source6, &slot);
			if (!table)
				return 0;
			f->row[0] = row6(table, f->saddr, c->any6[0]);
		}
		if (c->prefixes[1] & 2) {
			table = bpf_map_lookup_elem(&target6, &slot);
			if (!table)
				return 0;
			f->row[1] = row6(table, f->daddr, c->any6[1]);
		}
	}
	f->row[2] = c->no_port[0];
	f->row[3] = c->no_port[1];
	if (f->has_ports && c->ports) {
		u32 *row;

		if (c->ports & 1) {
			row = flat(f, FLAT_SPORT, f->sport);
			if (!row)
				return 0;
			f->row[2] = *row;
		}
		if (c->ports & 2) {
			row = flat(f, FLAT_DPORT, f->dport);
			if (!row)
				return 0;
			f->row[3] = *row;
		}
	}
	f->row[4] = c->protocols[f->proto];
	return 1;
}

struct five {
	u64 *of[5];
};

static __always_inline u64 *row_at(void *table, u32 row)
{
	struct row *r = bpf_map_lookup_elem(table, &row);

	return r ? r->word : NULL;
}

static __always_inline u64 *head_at(u32 slot, u32 row)
{
	u32 key = slot * HEADS + row;
	struct head *h = bpf_map_lookup_elem(&heads, &key);

	return h ? h->word : NULL;
}

/* Looks the five rows up, or their heads, but those of what no rule names: they have
 * every bit, so that of the protocol stands in for them. */
#define LOOK_UP_ROWS(r, look_up)                                                                             \
	do {                                                                                                 \
		u64 *protocol = look_up(f->row[4]);                                                          \
		if (!protocol)                                                                               \
			return 0;                                                                            \
		_Pragma("unroll") for (int i = 0; i < 4; i++)                                                \
		{                                                                                            \
			(r)->of[i] = protocol;                                                               \
			if (config->named & 1 << i) {                                                        \
				(r)->of[i] = look_up(f->row[i]);                                             \
				if (!(r)->of[i])                                                             \
					return 0;                                                            \
			}                                                                                    \
		}                                                                                            \
		(r)->of[4] = protocol;                                                                       \
	} while (0)

static __always_inline int load_rows(struct fw_frame *f, struct fw_config *config, struct five *r)
{
	u32 slot = f->slot;
	void *table = bpf_map_lookup_elem(&rows, &slot);

	if (!table)
		return 0;
#define ROW_AT(row) row_at(table, row)
	LOOK_UP_ROWS(r, ROW_AT);
	return 1;
}

static __always_inline int load_heads(struct fw_frame *f, struct fw_config *config, struct five *r)
{
#define HEAD_AT(row) head_at(f->slot, row)
	LOOK_UP_ROWS(r, HEAD_AT);
	return 1;
}

#define CANDIDATES(r, w) ((r)->of[0][w] & (r)->of[1][w] & (r)->of[2][w] & (r)->of[3][w] & (r)->of[4][w])

#endif
