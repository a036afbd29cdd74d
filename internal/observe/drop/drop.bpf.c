//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Counts the packets that the kernel drops, by why, where and what they were. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "owner.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define GROUPS 8192
struct drop_key {
	u64 location;
	u32 reason;
	u16 family; /* the Ethernet protocol */
	u16 port;   /* where to, 0 where there is none */
	u8 proto;   /* of IP */
	char dev[15];
	u32 tgid; /* of the socket's owner, 0 where there is none */
	char comm[16];
	u32 pad;
};

struct drop_count {
	u64 packets;
	u64 bytes;
};

const volatile u8 has_socket = 0; /* 6.11 gave the tracepoint the socket that a packet was for */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GROUPS);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

/* 1 while it counts: the counters of the kernel are read just before. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} on SEC(".maps");

#include "full.h"

/* The packet's protocol and the port that it goes to, from its own headers. */
static __always_inline void read_headers(struct drop_key *key, struct sk_buff___bc *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	u16 net = BPF_CORE_READ(skb, network_header), transport = BPF_CORE_READ(skb, transport_header);
	u16 port = 0;
	u8 first = 0;

	if (!head || net == NO_HEADER)
		return;
	if (key->family == ETH_P_IP) {
		bpf_probe_read_kernel(&key->proto, 1, head + net + 9);
		bpf_probe_read_kernel(&first, 1, head + net);
		if (transport == NO_HEADER || transport <= net)
			transport = net + (first & 15) * 4;
	} else if (key->family == ETH_P_IPV6) {
		bpf_probe_read_kernel(&key->proto, 1, head + net + 6);
		if (transport == NO_HEADER || transport <= net)
			transport = net + 40;
	} else {
		return;
	}
	if (key->proto == 6 || key->proto == 17 || key->proto == 132) {
		bpf_probe_read_kernel(&port, 2, head + transport + 2);
		key->port = bpf_ntohs(port);
	}
}

static __always_inline int dropped(void *packet, void *location, u32 reason, void *to)
{
	struct sk_buff___bc *skb = packet;
	struct net_device___bc *dev = BPF_CORE_READ(skb, dev);
	struct sock___bc *sk = BPF_CORE_READ(skb, sk);
	struct drop_key key = {};
	struct drop_count none = {}, *c;
	u32 zero = 0, net = 0, *counts = bpf_map_lookup_elem(&on, &zero);
	u64 *n;

	if (!counts || !*counts)
		return 0;
	if (dev)
		net = net_of_device(dev);
	else if (sk || to)
		net = net_of_socket(sk ? sk : (struct sock___bc *)to);
	if (only_net && net != only_net)
		return 0;
	key.location = (u64)location;
	key.reason = reason;
	key.family = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	if (dev)
		name_of_device(key.dev, sizeof(key.dev), dev);
	read_headers(&key, skb);
	if (!name_owner(&key, to ? to : sk))
		return 0;
	c = bpf_map_lookup_elem(&drops, &key);
	if (!c) {
		bpf_map_update_elem(&drops, &key, &none, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&drops, &key);
	}
	if (!c) {
		n = bpf_map_lookup_elem(&lost, &zero);
		if (n)
			__sync_fetch_and_add(n, 1);
		return 0;
	}
	__sync_fetch_and_add(&c->packets, 1);
	__sync_fetch_and_add(&c->bytes, BPF_CORE_READ(skb, len));
	return 0;
}

/* 5.17 gave the tracepoint a reason (commit c504e5c2f964 "net: skb: introduce
 * kfree_skb_reason()"). */
SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_why, void *skb, void *location, u32 reason)
{
	void *to = NULL;

	if (has_socket)
		bpf_probe_read_kernel(&to, sizeof(to), &ctx[3]); /* as a number: it may be joined with other pointers */
	return dropped(skb, location, reason, to);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_where, void *skb, void *location)
{
	return dropped(skb, location, 0, NULL);
}
