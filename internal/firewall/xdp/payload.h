/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a packet carries behind its transport header, compared with a rule's bytes.
 */
#ifndef BEARCAT_FW_PAYLOAD_H
#define BEARCAT_FW_PAYLOAD_H

#include "parse.h"

enum { P_LACKS, P_OTHER, P_SAME };

#define MAX_PAYLOAD_OFFSET 0x1fff

/* How many bytes the header of a packet's transport has, 0 for one of TCP that is cut off. */
static __always_inline u32 header_of(struct hook_ctx *ctx, struct fw_frame *f)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 off = f->off;
	u8 *p;

	if (f->proto == 17 || is_icmp(f))
		return 8;
	if (f->proto != 6)
		return need_of(f);
	if (off > MAX_OFFSET)
		return 0;
	p = data + off;
	if ((void *)(p + 20) > end)
		return 0;
	return (p[12] >> 4) * 4;
}

/* Reads bytes of the frame, from the buffers beyond the first one too. */
static __always_inline int read_payload(struct hook_ctx *ctx, u32 at, u32 length, u8 *to)
{
	u8 *p = (u8 *)(long)ctx->data + at, *end = (u8 *)(long)ctx->data_end;

	if (p + length > end) {
		if (!OUT && !has_frags)
			return 0;
		/* from 1 to all by arithmetic: verifiers before 6.4 learn nothing of a test for 0 */
		length--;
		asm volatile("" : "+r"(length));
		length = (length & (PAYLOAD_BYTES - 1)) + 1;
		return !load_bytes(ctx, at, to, length);
	}
	for (u32 i = 0; i < PAYLOAD_BYTES; i++, p++) {
		if (i >= length || p + 1 > end)
			break;
		to[i] = *p;
	}
	return 1;
}

/* Whether a frame has the bytes of a rule. A function of its own: few rules ask. */
__noinline int payload(struct hook_ctx *ctx, u32 rule)
{
	u32 zero = 0, at, length, key;
	u64 got[PAYLOAD_WORDS] = {}, differ = 0;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_payload *want;

	if (!f)
		return P_LACKS;
	key = f->slot * MAX_RULES + rule;
	want = bpf_map_lookup_elem(&payloads, &key);
	if (!want || f->frag == FRAG_LATER)
		return P_LACKS;
	at = header_of(ctx, f);
	if (f->proto == 6 && !at)
		return P_LACKS;
	length = want->length;
	if (length > PAYLOAD_BYTES || want->offset > MAX_PAYLOAD_OFFSET)
		return P_LACKS;
	at += want->offset;
	if (at + length > f->left)
		return P_LACKS;
	at += f->off;
	if (at > 2 * MAX_OFFSET || !read_payload(ctx, at, length, (u8 *)got))
		return P_LACKS;
#pragma unroll
	for (int i = 0; i < PAYLOAD_WORDS; i++)
		differ |= (got[i] & want->mask[i]) ^ want->want[i];
	return differ ? P_OTHER : P_SAME;
}

#endif
