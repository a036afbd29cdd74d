/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The five rows of bits that a frame leads to, one bit a rule.
 */
#ifndef BEARCAT_FW_ROWS_H
#define BEARCAT_FW_ROWS_H

#include "tables.h"

/* The row of an IPv4 address: 16, 8 and 8 bits, a flat table each. */
static __always_inline u32 row4(void *trie, u8 *addr, u32 first)
{
	u32 key = first + addr[0], entry;
	struct trie_block *b = bpf_map_lookup_elem(trie, &key);

	if (!b)
		return 0;
	entry = b->entry[addr[1]];
	if (!(entry >> 31))
		return entry;
	key = entry & 0x7fffffff;
	b = bpf_map_lookup_elem(trie, &key);
	if (!b)
		return 0;
	entry = b->entry[addr[2]];
	if (!(entry >> 31))
		return entry;
	key = entry & 0x7fffffff;
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
		void *trie;

		if (c->prefixes[0] | c->prefixes[1]) {
			trie = bpf_map_lookup_elem(&tries, &slot);
			if (!trie)
				return 0;
			if (c->prefixes[0] & 1)
				f->row[0] = row4(trie, f->saddr, 0);
			if (c->prefixes[1] & 1)
				f->row[1] = row4(trie, f->daddr, 256);
		}
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
		void *tables = bpf_map_lookup_elem(&ports, &slot);
		struct port_table *t;
		u32 key = 0;

		if (!tables)
			return 0;
		if (c->ports & 1) {
			t = bpf_map_lookup_elem(tables, &key);
			if (!t)
				return 0;
			f->row[2] = t->row[f->sport];
		}
		key = 1;
		if (c->ports & 2) {
			t = bpf_map_lookup_elem(tables, &key);
			if (!t)
				return 0;
			f->row[3] = t->row[f->dport];
		}
	}
	f->row[4] = c->protocols[f->proto];
	return 1;
}

struct five {
	struct row *of[5];
};

/* Looks the five rows up, but those of what no rule names: they have every bit, so
 * that of the protocol stands in for them. */
static __always_inline int load_rows(struct fw_frame *f, struct fw_config *config, struct five *r)
{
	u32 slot = f->slot;
	void *table = bpf_map_lookup_elem(&rows, &slot);
	struct row *p;

	if (!table)
		return 0;
	p = bpf_map_lookup_elem(table, &f->row[4]);
	if (!p)
		return 0;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		r->of[i] = p;
		if (config->named & 1 << i) {
			r->of[i] = bpf_map_lookup_elem(table, &f->row[i]);
			if (!r->of[i])
				return 0;
		}
	}
	r->of[4] = p;
	return 1;
}

#define CANDIDATES(r, w) ((r)->of[0]->word[w] & (r)->of[1]->word[w] & (r)->of[2]->word[w] & (r)->of[3]->word[w] & (r)->of[4]->word[w])

#endif
