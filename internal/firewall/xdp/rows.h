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

/* Finds the row of an address: dim 0 is the source, 1 the destination. */
static __always_inline int address_row(struct fw_frame *f, struct fw_config *c, u32 dim, u8 *addr, void *outer6)
{
	u32 slot = f->slot;
	void *table;

	if (f->family == 4) {
		f->row[dim] = c->prefixes[dim] & 1 ? row4(f, addr, dim) : c->any4[dim];
		return 1;
	}
	f->row[dim] = c->any6[dim];
	if (c->prefixes[dim] & 2) {
		table = bpf_map_lookup_elem(outer6, &slot);
		if (!table)
			return 0;
		f->row[dim] = row6(table, addr, c->any6[dim]);
	}
	return 1;
}

static __always_inline int port_row(struct fw_frame *f, struct fw_config *c, u32 dim, u16 port)
{
	u32 *row;

	f->row[2 + dim] = c->no_port[dim];
	if (f->has_ports && c->ports >> dim & 1) {
		row = flat(f, 2 + dim, port);
		if (!row)
			return 0;
		f->row[2 + dim] = *row;
	}
	return 1;
}

/* Finds the rows of a frame: that of the protocol, and those of what some rule names. */
static __always_inline int find_rows(struct fw_frame *f, struct fw_config *c)
{
	u32 named = c->named;

	f->row[4] = c->protocols[OUT][f->proto];
	if (named & 1 && !address_row(f, c, FLAT_SOURCE, f->saddr, &source6))
		return 0;
	if (named & 2 && !address_row(f, c, FLAT_TARGET, f->daddr, &target6))
		return 0;
	if (named & 4 && !port_row(f, c, 0, f->sport))
		return 0;
	if (named & 8 && !port_row(f, c, 1, f->dport))
		return 0;
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
