/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The search for the rule that decides: the first whose bit is set in all five rows and
 * whose other conditions hold.
 */
#ifndef BEARCAT_FW_MATCH_H
#define BEARCAT_FW_MATCH_H

#include "rows.h"
#include "rules.h"

/* Where a bit is, by the top of its product with a de Bruijn number. */
const u8 position[64] = {
	0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4,
	62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
	46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9, 13, 8, 7, 6,
};

/* The number of the lowest bit that is set: BPF has no instruction for it. */
static __always_inline u32 lowest(u64 bits)
{
	return position[(bits & -bits) * 0x03f79d71b4cb0a89ULL >> 58];
}

/* What the rules say: reason, and whether to drop. */
#define DECIDED(drop, reason) ((drop) << 8 | (reason))
#define ON 0xffff /* the matcher goes on */

enum { NONE, FOUND, FAILED };

/* Goes to the next word in which there is a candidate, beginning with w. A function of
 * its own, so that the verifier goes through all words once and not at each step. */
__noinline int next_word(u32 w)
{
	u32 zero = 0, slot;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_config *config;
	struct five r;

	if (!f)
		return FAILED;
	slot = f->slot;
	config = bpf_map_lookup_elem(&configs, &slot);
	if (!config)
		return FAILED;
	if (w >= config->words)
		return NONE;
	if (!load_rows(f, config, &r))
		return FAILED;
	for (int i = 0; i < WORDS; i++, w++) {
		u64 at = w, bits;

		/* the number that is checked is the one that is used */
		asm volatile("" : "+r"(at));
		if (at >= config->words || at >= WORDS)
			break;
		bits = CANDIDATES(&r, at);
		if (bits) {
			f->bits = bits;
			f->word = at + 1;
			return FOUND;
		}
	}
	return NONE;
}

/* Goes through the candidates, as many steps as fit into one program, then
 * calls itself for the rest. */
static __always_inline u32 match(struct hook_ctx *ctx, struct fw_frame *f, struct fw_config *config)
{
	for (int i = 0; i < STEPS; i++) {
		/* read from memory anew, so that each step looks the same to the verifier */
		u64 bits = *(volatile u64 *)&f->bits;
		u32 word, found, done;

		if (!bits) {
			found = next_word(*(volatile u32 *)&f->word);
			if (found == NONE)
				return DECIDED(default_drops(config), R_DEFAULT);
			if (found != FOUND)
				return DECIDED(1, R_ENGINE);
			bits = *(volatile u64 *)&f->bits;
		}
		word = *(volatile u32 *)&f->word - 1;
		*(volatile u64 *)&f->bits = bits & (bits - 1);
		done = consider(ctx, word * 64 + lowest(bits));
		if (done)
			return DECIDED(done == 2, R_RULE);
	}
	return ON;
}

/* The first word in which there is a candidate, of those that are looked at before
 * anything is called; how far that came, in f->word. */
static __always_inline u64 first_word(struct fw_frame *f, struct five *r, u32 words)
{
	u64 bits = 0;

	for (int i = 0; i < HEAD_WORDS; i++) {
		if (i >= words)
			break;
		bits = CANDIDATES(r, i);
		f->word = i + 1;
		if (bits)
			break;
	}
	return bits;
}

/* The first candidate, without a call where it is a plain rule: most frames have none or
 * one. What the matcher needs to go on is kept. */
static __always_inline u32 match_first(struct hook_ctx *ctx, struct fw_frame *f, struct fw_config *config)
{
	struct fw_frame *kept;
	struct fw_rule *rule;
	u32 number, done;
	struct five r;
	u64 bits;

	if (config->direct) {
		bits = f->row[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			if (config->named & 1 << i)
				bits &= f->row[i];
		}
		f->word = 1;
	} else if (config->headed) {
		if (!load_heads(f, config, &r))
			return DECIDED(1, R_ENGINE);
		bits = first_word(f, &r, config->words);
	} else {
		bits = 0;
	}
	if (!bits && f->word < config->words) { /* further than the heads reach */
		kept = keep(ctx, f);
		if (!kept || next_word(kept->word) == FAILED)
			return DECIDED(1, R_ENGINE);
		f->word = kept->word;
		bits = kept->bits;
	}
	if (!bits)
		return DECIDED(default_drops(config), R_DEFAULT);
	number = (f->word - 1) * 64 + lowest(bits);
	rule = rule_at(f->slot, number);
	if (rule && rule->plain && !config->monitor) {
		count(f, rule);
		return DECIDED(rule->action == A_DROP, R_RULE);
	}
	f->bits = bits & (bits - 1);
	kept = keep(ctx, f);
	if (!kept)
		return DECIDED(1, R_ENGINE);
	done = consider(ctx, number);
	f->rule = kept->rule;
	if (done)
		return DECIDED(done == 2, R_RULE);
	if (!f->bits && f->word >= config->words)
		return DECIDED(default_drops(config), R_DEFAULT);
	return ON;
}

#endif
