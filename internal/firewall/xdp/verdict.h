/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How a frame ends: what is counted, and what is logged of a drop.
 */
#ifndef BEARCAT_FW_VERDICT_H
#define BEARCAT_FW_VERDICT_H

#include "parse.h"
#include "scan.h"

/* Whether the other end is on the allow list. */
static __always_inline u32 allowed(struct fw_frame *f, u64 blocks)
{
	u8 *other = OUT ? f->daddr : f->saddr;

	return f->family == 4 ? allowed4(other, blocks) : allowed6(other, blocks);
}

static __always_inline u32 default_drops(struct fw_config *config)
{
	return (OUT ? config->default_out : config->default_action) == A_DROP;
}

#define CAPTURE 256 /* bytes of a logged frame */

/* Says that a frame is dropped, at most as often as was asked for. A function of its
 * own, for the verifier and because it is rarely called. */
__noinline int log_drop(struct hook_ctx *ctx)
{
	u32 zero = 0, captured;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_paid *paid = bpf_map_lookup_elem(&log_paid, &zero);
	struct fw_log r = { .kind = LOG_DROP };
	u64 now = bpf_ktime_get_boot_ns(), until, flags;

	if (!f || !c || !paid)
		return 0;
	until = paid->until > now ? paid->until : now;
	if (until - now > 64 * c->log_ns) {
		paid->unsaid++;
		return 0;
	}
	paid->until = until + c->log_ns;
	r.time = now;
	r.unsaid = paid->unsaid;
	paid->unsaid = 0;
	__builtin_memcpy(r.addr, f->saddr, 16);
	r.counter = f->reason == R_RULE ? f->rule : NOBODY;
	r.device = f->device;
	r.length = f->length;
	r.reason = f->reason;
	r.out = OUT;
	captured = f->length < CAPTURE ? f->length : CAPTURE;
	r.captured = captured;
	flags = (u64)captured << 32 | BPF_F_CURRENT_CPU;
	bpf_perf_event_output(ctx, &drops, flags, &r, sizeof(r));
	return 0;
}

/* Puts a frame where the functions find it that the verifier looks at by themselves, with
 * what only they need. */
static __always_inline struct fw_frame *keep(struct hook_ctx *ctx, struct fw_frame *f)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 zero = 0;
	struct fw_frame *kept = bpf_map_lookup_elem(&frames, &zero);

	if (!kept)
		return NULL;
	*kept = *f;
	kept->device = device_of(ctx);
	if (data + 14 <= end) {
		copy4(kept->mac, data + 6);
		*(u16 *)(kept->mac + 4) = *(u16 *)(data + 10);
	}
	return kept;
}

#if !OUT
/* Notes what a dropped frame tried. Answers are none: TCP with an acknowledgement, and
 * UDP from a port of services. */
__noinline int note_drop(struct xdp_md *ctx)
{
	u32 zero = 0;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct scan_try t = {};

	if (!f || !c || (f->has_tcp && f->tcp_flags & 16) || (f->proto == 17 && f->has_ports && f->sport < 1024))
		return 0;
	if (f->family == 4)
		map4(&t.source, f->saddr);
	else
		__builtin_memcpy(t.source.addr, f->saddr, 16);
	__builtin_memcpy(&t.target_hi, f->daddr, 8);
	__builtin_memcpy(&t.target_lo, f->daddr + 8, 8);
	t.has_port = f->has_ports;
	t.port = f->dport;
	t.device = ctx->ingress_ifindex; /* unused arguments are not passed */
	t.reason = f->reason;
	t.rule = f->reason == R_RULE ? f->rule : NOBODY;
	note_try(c, &t, has_coarse ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns());
	return 0;
}
#endif

/* Gives the verdict and counts it under its reason. */
static __always_inline int finish(struct hook_ctx *ctx, struct fw_frame *f, struct fw_control *c, struct fw_config *config, u32 drop,
				  u32 reason)
{
	struct fw_count *n;
	u32 key;

	if (drop && f->l3 && reason < R_MALFORMED && allowed(f, c->blocks)) {
		drop = 0;
		reason = R_ALLOW;
	}
#if !OUT /* this host is no scanner of itself */
	if (drop && c->scans && (reason == R_RULE || reason == R_DEFAULT)) {
		f->reason = reason;
		keep(ctx, f);
		note_drop(ctx);
	}
#endif
	if (drop && config->monitor) {
		drop = 0;
		key = reason + OUT * 2 * R_COUNT;
		n = bpf_map_lookup_elem(&reasons, &key);
		if (n)
			n->over++;
		reason = R_MONITOR;
	}
	key = reason + (drop ? R_COUNT : 0) + OUT * 2 * R_COUNT;
	n = bpf_map_lookup_elem(&reasons, &key);
	if (n) {
		n->packets++;
		n->bytes += f->length;
	}
	if (!drop)
		return HOOK_PASS;
	if (c->log_ns) {
		f->reason = reason;
		keep(ctx, f);
		log_drop(ctx);
	}
	return HOOK_DROP;
}

#endif
