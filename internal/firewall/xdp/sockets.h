/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the host's own sockets say of a frame.
 */
#ifndef BEARCAT_FW_SOCKETS_H
#define BEARCAT_FW_SOCKETS_H

#include "tables.h"

static __always_inline u16 other_port(struct fw_frame *f)
{
	return OUT ? f->dport : f->sport;
}

/* The addresses and ports of a frame as look-ups of sockets take them: as of one that
 * comes in. */
static __always_inline u32 tuple(struct fw_frame *f, struct bpf_sock_tuple *t)
{
	if (f->family == 4) {
		__builtin_memcpy(&t->ipv4.saddr, OUT ? f->daddr : f->saddr, 4);
		__builtin_memcpy(&t->ipv4.daddr, OUT ? f->saddr : f->daddr, 4);
		t->ipv4.sport = bpf_htons(other_port(f));
		t->ipv4.dport = bpf_htons(OUT ? f->sport : f->dport);
		return sizeof(t->ipv4);
	}
	__builtin_memcpy(t->ipv6.saddr, OUT ? f->daddr : f->saddr, 16);
	__builtin_memcpy(t->ipv6.daddr, OUT ? f->saddr : f->daddr, 16);
	t->ipv6.sport = bpf_htons(other_port(f));
	t->ipv6.dport = bpf_htons(OUT ? f->sport : f->dport);
	return sizeof(t->ipv6);
}

/* The state of the TCP socket that a frame is for, 0 where there is none. */
static __always_inline u32 tcp_state(struct hook_ctx *ctx, struct fw_frame *f)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	u32 state;

	if (tuple(f, &t) == sizeof(t.ipv4))
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state;
}

/* Whether a UDP socket is connected to the other end. */
static __always_inline u32 udp_connected(struct hook_ctx *ctx, struct fw_frame *f)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	u32 same;

	if (tuple(f, &t) == sizeof(t.ipv4)) {
		sk = bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		same = sk->dst_ip4 == t.ipv4.saddr;
	} else {
		sk = bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		same = sk->dst_ip6[0] == t.ipv6.saddr[0] && sk->dst_ip6[1] == t.ipv6.saddr[1] &&
		       sk->dst_ip6[2] == t.ipv6.saddr[2] && sk->dst_ip6[3] == t.ipv6.saddr[3];
	}
	/* four bytes, which kernels of every age let a program read */
	same = same && (*(volatile u32 *)((void *)sk + offsetof(struct bpf_sock, dst_port)) & 0xffff) ==
			       bpf_htons(other_port(f));
	bpf_sk_release(sk);
	return same;
}

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define TCP_NEW_SYN_RECV 12

/* Whether the frame belongs to a connection that this host agreed to: only
 * then is its source known not to be made up. */
static __always_inline int proven(struct hook_ctx *ctx, struct fw_frame *f)
{
	return f->has_tcp && tcp_state(ctx, f) == TCP_ESTABLISHED;
}

#define SYN_ACK 0x12

/* Whether a connection in that state is one that this host agreed to. What goes out is no
 * reply where this host opens it; the answer to an opening may be given by the socket that
 * listens. */
static __always_inline u32 agreed(struct fw_frame *f, u32 state)
{
	if (!state || state == TCP_CLOSE)
		return 0;
	if (OUT)
		return state != TCP_SYN_SENT && (state != TCP_LISTEN || (f->tcp_flags & SYN_ACK) == SYN_ACK);
	return state != TCP_LISTEN && state != TCP_NEW_SYN_RECV;
}

/* Whether a socket of this host expects frames from that source, or for that destination:
 * it has opened the connection, or accepted it. A function of its own, for the verifier. */
__noinline int ask_sockets(struct hook_ctx *ctx)
{
	u32 zero = 0, yes = 0;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);

	if (!f || !f->has_ports)
		return E_NO;
	if (f->has_tcp) {
		yes = agreed(f, tcp_state(ctx, f));
	} else if (f->proto == 17) {
		yes = udp_connected(ctx, f);
	}
	return yes ? E_YES : E_NO;
}

static __always_inline int established(struct hook_ctx *ctx, struct fw_frame *f)
{
	if (f->known == E_NOT_ASKED)
		f->known = ask_sockets(ctx);
	return f->known == E_YES;
}

#endif
