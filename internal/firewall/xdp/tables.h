/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The tables of policies, one slot of the outer maps each, and those of the block list.
 */
#ifndef BEARCAT_FW_TABLES_H
#define BEARCAT_FW_TABLES_H

#include "hook.h"
#include "lists.h"

#define INNER 0x1000 /* BPF_F_INNER_MAP: inner arrays may differ in size */

struct row {
	u64 word[WORDS];
};
struct trie_block {
	u32 entry[256];
};
/* what each value of 16 bits leads to: a row, or of addresses a block of the trie */
struct flat {
	u32 to[65536];
};
/* the beginning of a row */
struct head {
	u64 word[HEAD_WORDS];
};
#define OUTER(name, inner_type, key_t, value_t, flags)                                                       \
	struct inner_##name {                                                                                \
		__uint(type, inner_type);                                                                    \
		__uint(max_entries, 1);                                                                      \
		__uint(map_flags, flags);                                                                    \
		__uint(key_size, sizeof(key_t));                                                             \
		__uint(value_size, sizeof(value_t));                                                         \
	};                                                                                                   \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                                    \
		__uint(max_entries, 2);                                                                      \
		__type(key, u32);                                                                            \
		__type(value, u32);                                                                          \
		__array(values, struct inner_##name);                                                        \
	} name SEC(".maps")

OUTER(rows, BPF_MAP_TYPE_ARRAY, u32, struct row, INNER);
OUTER(tries, BPF_MAP_TYPE_ARRAY, u32, struct trie_block, INNER);
OUTER(source6, BPF_MAP_TYPE_LPM_TRIE, struct lpm6, u32, BPF_F_NO_PREALLOC);
OUTER(target6, BPF_MAP_TYPE_LPM_TRIE, struct lpm6, u32, BPF_F_NO_PREALLOC);

/* Tables of one size hold both slots one behind the other: looking up in those costs a
 * few instructions, in an inner map a call. */
enum { FLAT_SOURCE, FLAT_TARGET, FLAT_SPORT, FLAT_DPORT, FLATS };
TABLE(flats, BPF_MAP_TYPE_ARRAY, 2 * FLATS, u32, struct flat, 0);
TABLE(heads, BPF_MAP_TYPE_ARRAY, 2 * HEADS, u32, struct head, 0);
TABLE(rules, BPF_MAP_TYPE_ARRAY, 2 * MAX_RULES, u32, struct fw_rule, 0);
TABLE(payloads, BPF_MAP_TYPE_ARRAY, 2 * MAX_RULES, u32, struct fw_payload, 0); /* by rule */
TABLE(configs, BPF_MAP_TYPE_ARRAY, 2, u32, struct fw_config, 0);
TABLE(block4, BPF_MAP_TYPE_HASH, 1048576, u32, struct fw_block, BPF_F_NO_PREALLOC);
TABLE(block6, BPF_MAP_TYPE_HASH, 1048576, struct addr6, struct fw_block, BPF_F_NO_PREALLOC);
/* a bit for each 24 bits of IPv4 that have something on the block list: most packets
 * are spared the look-ups in tables that do not fit into any cache */
TABLE(near4, BPF_MAP_TYPE_ARRAY, 262144, u32, u64, 0);
TABLE(blocknet4, BPF_MAP_TYPE_LPM_TRIE, 1048576, struct lpm4, struct fw_block, BPF_F_NO_PREALLOC);
TABLE(blocknet6, BPF_MAP_TYPE_LPM_TRIE, 1048576, struct lpm6, struct fw_block, BPF_F_NO_PREALLOC);
/* passed and dropped, of what comes in and of what goes out */
TABLE(reasons, BPF_MAP_TYPE_PERCPU_ARRAY, 4 * R_COUNT, u32, struct fw_count, 0);
TABLE(names, BPF_MAP_TYPE_ARRAY, COUNTERS, u32, struct fw_name, 0); /* of counters */
TABLE(frames, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct fw_frame, 0);

/* Set where the kernel gives frames in several buffers. */
const volatile u8 has_frags;
/* Set where the kernel has a clock that steps with its ticks and costs little. */
const volatile u8 has_coarse;

#endif
