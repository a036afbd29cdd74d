//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The firewall. A frame is read once, then meets the block list, then the
 * rules in their order; a drop of a source on the allow list is taken back.
 *
 * Rules: each of source, destination, source port, destination port and
 * protocol leads to a row of bits, one bit a rule, set where the rule accepts
 * that value. Bits set in all five rows are candidates; the first whose other
 * conditions hold decides. A policy is the content of one slot of the outer
 * maps; a packet reads the slot's number once, so it sees one policy only.
 */
#include "match.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* for the generated Go types */
const struct fw_rule *type_rule __attribute__((unused));
const struct fw_log *type_log __attribute__((unused));

int fw_match(struct hook_ctx *ctx);
int fw_entry(struct hook_ctx *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1 + OUT);
	__type(key, u32);
	__array(values, int(struct hook_ctx *));
} again SEC(".maps") = {
#if OUT
	.values = { [0] = &fw_match, [1] = &fw_entry },
#else
	.values = { [0] = &fw_match },
#endif
};

HOOK
int fw_match(struct hook_ctx *ctx)
{
	u32 zero = 0, slot, said;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_config *config;

	if (!f || !c)
		return HOOK_PASS;
	slot = f->slot;
	config = bpf_map_lookup_elem(&configs, &slot);
	if (!config)
		return HOOK_PASS;
	said = match(ctx, f, config);
	if (said == ON) {
		bpf_tail_call(ctx, &again, 0);
		said = DECIDED(1, R_ENGINE);
	}
	return finish(ctx, f, c, config, said >> 8, said & 0xff);
}

#define READ(name, parse_part)                                                                               \
	__noinline int name(struct hook_ctx *ctx)                                                              \
	{                                                                                                    \
		void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;                    \
		u32 zero = 0;                                                                                \
		struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);                                    \
                                                                                                             \
		return f ? parse_part : R_ENGINE;                                                            \
	}
READ(read_extension, parse_extension(f, data, end))

/* Goes over the extension headers, up to what they carry. */
static __always_inline int read_extensions(struct hook_ctx *ctx, struct fw_frame *f)
{
	struct fw_frame *kept = keep(ctx, f);
	int reason;

	if (!kept)
		return R_ENGINE;
	for (int i = 0; i < MAX_EXT && is_extension(f->proto) && f->frag != FRAG_LATER; i++) {
		reason = read_extension(ctx);
		if (reason != R_RULE)
			return reason;
		f->proto = kept->proto;
		f->frag = kept->frag;
	}
	f->off = kept->off;
	f->left = kept->left;
	return is_extension(f->proto) && f->frag != FRAG_LATER ? R_MANY_EXT : R_RULE;
}

/* Everything but the matcher's further steps. */
static __always_inline u32 judge(struct hook_ctx *ctx, struct fw_frame *f, struct fw_control *c, struct fw_config *config)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 reason = parse(ctx, f, data, end), why;

	if (reason == R_ARP)
		return DECIDED(0, R_ARP);
	if (reason == R_UNPARSED)
		return DECIDED(config->unparsed == A_DROP, R_UNPARSED);
	if (!OUT && f->l3 && c->blocks) {
		why = blocked(f, c);
		if (why)
			return DECIDED(1, why);
	}
	if (reason == R_RULE && f->family == 6 && is_extension(f->proto))
		reason = read_extensions(ctx, f);
	if (reason == R_RULE)
		reason = parse_l4(f, data, end);
	if (reason != R_RULE)
		return DECIDED(config->malformed == A_DROP, reason);
	/* neighbour discovery: without it IPv6 ends */
	if (f->has_icmp && f->family == 6 && WITHIN(f->icmp_type, 133, 137) && f->ttl == 255)
		return DECIDED(0, R_ND);
	if (!config->rules)
		return DECIDED(default_drops(config), R_DEFAULT);
	if (!find_rows(f, config))
		return DECIDED(1, R_ENGINE);
	return match_first(ctx, f, config);
}

#if OUT
#define PULL 2048

/* Puts more of a frame where it can be read, if it seemed malformed for want of that, and
 * begins anew. Does not come back then. */
static __always_inline void read_again(struct hook_ctx *ctx, u32 reason)
{
	u32 there = ctx->data_end - ctx->data, want = ctx->len < PULL ? ctx->len : PULL;

	if (reason >= R_MALFORMED && there < want && !bpf_skb_pull_data(ctx, want))
		bpf_tail_call(ctx, &again, 1);
}
#endif

HOOK
int fw_entry(struct hook_ctx *ctx)
{
	struct fw_frame frame = {}, *f = &frame;
	u32 zero = 0, slot, *now, said;
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_config *config;

	now = bpf_map_lookup_elem(&active, &zero);
	if (!c || !now)
		return HOOK_PASS;
	slot = *(volatile u32 *)now & 1;
	config = bpf_map_lookup_elem(&configs, &slot);
	if (!config)
		return HOOK_PASS;
	/* In memory, as one piece: fields that the compiler gives places of their own take more
	 * of the stack, which the functions below need some of too. */
	asm volatile("" : : "r"(f) : "memory");
	f->slot = slot;
#if OUT
	f->length = ctx->len;
	if (ctx->vlan_present) { /* a tag that the device will write */
		f->has_vlan = 1;
		f->vlan = ctx->vlan_tci & 0xfff;
	}
	said = judge(ctx, f, c, config);
	if (said != ON)
		read_again(ctx, said & 0xff);
#else
	f->length = has_frags && config->lengths ? whole_length(ctx) : ctx->data_end - ctx->data;
	said = judge(ctx, f, c, config);
#endif
	if (said == ON) {
		bpf_tail_call(ctx, &again, 0);
		said = DECIDED(1, R_ENGINE);
	}
	return finish(ctx, f, c, config, said >> 8, said & 0xff);
}
