/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Where the program runs. It is compiled twice: for what comes in (XDP), and with FW_OUT
 * for what goes out (tc).
 */
#ifndef BEARCAT_FW_HOOK_H
#define BEARCAT_FW_HOOK_H

#include "fw.h"

#ifdef FW_OUT
#define OUT 1
#define hook_ctx __sk_buff
#define HOOK SEC("tc")
#define HOOK_PASS -1 /* TCX_NEXT, TC_ACT_UNSPEC: whoever comes next decides */
#define HOOK_DROP 2  /* TCX_DROP, TC_ACT_SHOT */
#define whole_length(ctx) ((ctx)->len)
#define load_bytes(ctx, at, to, length) bpf_skb_load_bytes(ctx, at, to, length)
#define device_of(ctx) ((ctx)->ifindex)
/* Not cut into segments yet: then IP's own length may be 0, for more than it can say. */
#define unsegmented(ctx) ((ctx)->gso_segs != 0)
#else
#define OUT 0
#define hook_ctx xdp_md
#define HOOK SEC("xdp")
#define HOOK_PASS XDP_PASS
#define HOOK_DROP XDP_DROP
#define whole_length(ctx) bpf_xdp_get_buff_len(ctx)
#define load_bytes(ctx, at, to, length) bpf_xdp_load_bytes(ctx, at, to, length)
#define device_of(ctx) ((ctx)->ingress_ifindex)
#define unsegmented(ctx) 0
#endif

#endif
