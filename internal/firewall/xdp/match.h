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

/* Goes through the candidates, as many steps as fit into one program, then
 * calls itself for the rest. */
static __always_inline u32 match(struct xdp_md *ctx, struct fw_frame *f, struct fw_config *config)
{
	struct five r;

	if (!load_rows(f, config, &r))
		return DECIDED(1, R_ENGINE);
	for (int i = 0; i < STEPS; i++) {
		/* both are read from memory anew, so that each step looks the
		 * same to the verifier */
		u32 w = *(volatile u32 *)&f->word;
		u64 bits = *(volatile u64 *)&f->bits;
		u32 rule;
		int done;

		if (!bits) {
			if (w >= config->words || w >= WORDS)
				return DECIDED(config->default_action == A_DROP, R_DEFAULT);
			*(volatile u64 *)&f->bits = CANDIDATES(&r, w);
			*(volatile u32 *)&f->word = w + 1;
			continue;
		}
		*(volatile u64 *)&f->bits = bits & (bits - 1);
		rule = (w - 1) * 64 + lowest(bits);
		done = consider(ctx, rule);
		if (done)
			return DECIDED(done == 2, R_RULE);
	}
	return ON;
}

#define STRAIGHT 16 /* words that are looked at before anything is called */

/* The first candidate, without a call of the matcher: most frames have none or one. */
static __always_inline u32 match_first(struct xdp_md *ctx, struct fw_frame *f, struct fw_config *config)
{
	u32 w = 0, words = config->words, done;
	u64 bits = 0;

	if (config->direct) {
		bits = f->row[0] & f->row[1] & f->row[2] & f->row[3] & f->row[4];
		for (int i = 0; i < 5; i++)
			f->row[i] = 0; /* which is there, should the matcher be called */
		w = 1;
	} else {
		struct five r;

		if (!load_rows(f, config, &r))
			return DECIDED(1, R_ENGINE);
		for (int i = 0; i < STRAIGHT; i++) {
			if (i >= words)
				break;
			bits = CANDIDATES(&r, i);
			w = i + 1;
			if (bits)
				break;
		}
	}
	if (bits) {
		done = consider(ctx, (w - 1) * 64 + lowest(bits));
		if (done)
			return DECIDED(done == 2, R_RULE);
		bits &= bits - 1;
	}
	if (!bits && w >= words)
		return DECIDED(config->default_action == A_DROP, R_DEFAULT);
	f->word = w;
	f->bits = bits;
	return ON;
}

#endif
