/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One rule: whether it holds for a frame, and what it does then.
 */
#ifndef BEARCAT_FW_RULES_H
#define BEARCAT_FW_RULES_H

#include "verdict.h"
#include "sources.h"
#include "sockets.h"
#include "payload.h"

#define HOLDS(bit, known, cond)                                                                              \
	if (r->has & (bit)) {                                                                                \
		if (!(known) || !(cond) == !(r->not_ & (bit)))                                               \
			return 0;                                                                            \
	}
#define WITHIN(value, lo, hi) ((value) >= (lo) && (value) <= (hi))

static __always_inline int holds(struct hook_ctx *ctx, struct fw_frame *f, struct fw_rule *r, u32 rule)
{
	int said;

	if (!r->has)
		return 1;
	HOLDS(M_LENGTH, 1, WITHIN(f->length, r->length_lo, r->length_hi));
	HOLDS(M_TTL, 1, WITHIN(f->ttl, r->ttl_lo, r->ttl_hi));
	HOLDS(M_DSCP, 1, WITHIN(f->dscp, r->dscp_lo, r->dscp_hi));
	HOLDS(M_TCP, f->has_tcp, (f->tcp_flags & r->tcp_set) == r->tcp_set && !(f->tcp_flags & r->tcp_unset));
	HOLDS(M_ICMP_TYPE, f->has_icmp, WITHIN(f->icmp_type, r->icmp_type_lo, r->icmp_type_hi));
	HOLDS(M_ICMP_CODE, f->has_icmp, WITHIN(f->icmp_code, r->icmp_code_lo, r->icmp_code_hi));
	HOLDS(M_FRAGMENT, 1, r->fragments >> (f->frag & 3) & 1);
	HOLDS(M_VLAN, f->has_vlan, WITHIN(f->vlan, r->vlan_lo, r->vlan_hi));
	HOLDS(M_MAC, 1,
	      f->mac[0] == r->mac[0] && f->mac[1] == r->mac[1] && f->mac[2] == r->mac[2] && f->mac[3] == r->mac[3] &&
		      f->mac[4] == r->mac[4] && f->mac[5] == r->mac[5]);
	HOLDS(M_DEVICE, 1, f->device == r->device);
	HOLDS(M_ESTABLISHED, 1, established(ctx, f));
	if (r->has & M_PAYLOAD) {
		said = payload(ctx, rule);
		HOLDS(M_PAYLOAD, said != P_LACKS, said == P_SAME);
	}
	return 1;
}

#define MANY_TICKS 1000000000ULL

/* Whether the source, or the flow, is over the rule's rate. A tick is at most a hundredth of a burst
 * that takes a second to earn, so such a rule needs no better clock. */
static __always_inline int over(struct fw_frame *f, struct fw_rule *r, u64 seed)
{
	u64 now = has_coarse && r->burst_ns >= MANY_TICKS ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
	u64 a, b, cost = r->cost;

	if (r->by_bytes)
		cost *= f->length;
	if (r->flow) {
		__builtin_memcpy(&a, f->daddr, 8);
		__builtin_memcpy(&b, f->daddr + 8, 8);
		seed = mix(mix(mix(seed, a), b), (u64)f->sport << 32 | (u64)f->dport << 16 | f->proto);
	}
	__builtin_memcpy(&a, f->saddr, 8);
	__builtin_memcpy(&b, f->saddr + 8, 8);
	return charge(seed, a, b, r->counter, cost >> 10, r->burst_ns, now);
}

static __always_inline void ban(struct hook_ctx *ctx, struct fw_frame *f, struct fw_rule *r, struct fw_control *c)
{
	struct addr6 k = {};

	/* what goes out has this host as its source */
	if (OUT || allowed(f, c->blocks) || (!r->unproven && !proven(ctx, f)))
		return;
	source_key(f, &k);
	ban_source(ctx, c, &k, r->ban_ns, r->grow, r->counter);
}

/* Counts a frame for which a rule holds. */
static __always_inline struct fw_count *count(struct fw_frame *f, struct fw_rule *r)
{
	u32 counter = r->counter;
	struct fw_count *n = bpf_map_lookup_elem(&counters, &counter);

	if (n) {
		n->packets++;
		n->bytes += f->length;
	}
	f->rule = counter;
	return n;
}

/* What a rule that holds does: 0 to go on, 1 pass, 2 drop. */
static __always_inline int apply(struct hook_ctx *ctx, struct fw_frame *f, struct fw_rule *r, struct fw_control *c,
				 u32 dry)
{
	u32 drops = r->action == A_DROP;
	struct fw_count *n = count(f, r);

	if (r->action == A_LIMIT)
		drops = over(f, r, c->seed);
	if (drops) {
		if (n && (r->monitor || dry || r->action == A_LIMIT))
			n->over++;
		if (r->monitor)
			return 0;
		if (r->ban_ns && !dry)
			ban(ctx, f, r, c);
		return 2;
	}
	return r->action == A_PASS && !r->monitor;
}

static __always_inline struct fw_rule *rule_at(u32 slot, u32 rule)
{
	u32 key = slot * MAX_RULES + rule;

	return bpf_map_lookup_elem(&rules, &key);
}

/* One candidate: 0 to go on, 1 pass, 2 drop. A function of its own, which the
 * verifier looks at once and not at each step. */
__noinline int consider(struct hook_ctx *ctx, u32 rule)
{
	u32 zero = 0, slot;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_config *config;
	struct fw_rule *r;

	if (!f || !c)
		return 2;
	slot = f->slot;
	config = bpf_map_lookup_elem(&configs, &slot);
	r = rule_at(slot, rule);
	if (!r || !config)
		return 2;
	return holds(ctx, f, r, rule) ? apply(ctx, f, r, c, config->monitor) : 0;
}

#endif
