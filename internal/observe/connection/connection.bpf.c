//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Follows TCP connections from their first state to their last. */
#include "filter.h"
#include "notes.h"
#include "owner.h"
#include "rate.h"
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CONNECTIONS 65536
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define PROTO_TCP 6
#define AF_INET 2
#define AF_INET6 10

enum what {
	STATE = 1, /* a is the old one, b the new */
	AGAIN,	   /* TCP sends something once more; a is its state */
	RESET_SENT,
	RESET_RECEIVED,
	END, /* with the counts */
};

enum how {
	BEGINS = 1, /* it is followed from here on */
	CHOSEN = 2, /* its owner is asked for */
};

/* bpf2go gives the types that are used for something. */
enum what *unused_what __attribute__((unused));
enum how *unused_how __attribute__((unused));
struct note *unused_note __attribute__((unused));
struct header *unused_header __attribute__((unused));

struct note {
	u64 at; /* ns since boot */
	u64 id;
	u64 sent, received; /* bytes of data that the other end has, and that came */
	u32 what;
	u32 cpu;
	u32 a, b;
	u32 tgid;
	u32 net;
	u32 rtt_us;
	u32 again; /* segments that were sent once more */
	u16 family;
	u16 local_port, remote_port;
	u16 how; /* BEGINS, CHOSEN */
	u8 local[16], remote[16];
	char comm[16];
};

struct connection {
	u64 id;
	u32 tgid;
	char comm[16];
	u32 wanted; /* its owner is asked for */
};

struct totals {
	u64 connections;
	u64 full;    /* left out: no room */
};


struct totals total; /* of what was told and left out */

/* By the address of the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONNECTIONS);
	__type(key, u64);
	__type(value, struct connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct header);
} headers SEC(".maps");


struct in6_addr___bc {
	u8 bytes[16];
};

struct sock_common___ends {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	struct in6_addr___bc skc_v6_daddr;
	struct in6_addr___bc skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct tcp_sock___counts {
	u64 bytes_acked;
	u64 bytes_received;
	u32 srtt_us;
	u32 total_retrans;
} __attribute__((preserve_access_index));

static __always_inline bool six(struct sock_common___ends *c)
{
	return BPF_CORE_READ(c, skc_family) == AF_INET6;
}

/* Both ends of a connection, as a packet that is sent has them. */
static __always_inline void describe(struct header *h, struct sock_common___ends *c)
{
	u16 port = bpf_htons(BPF_CORE_READ(c, skc_num));
	u32 a;

	__builtin_memset(h, 0, sizeof(*h));
	h->proto = PROTO_TCP;
	h->l4_has = HEADER;
	h->sent = 1;
	h->length = HEADER;
	if (six(c)) {
		h->family = ETH_P_IPV6;
		h->l3[6] = PROTO_TCP;
		bpf_probe_read_kernel(&h->l3[8], 16, (void *)c + bpf_core_field_offset(struct sock_common___ends, skc_v6_rcv_saddr));
		bpf_probe_read_kernel(&h->l3[24], 16, (void *)c + bpf_core_field_offset(struct sock_common___ends, skc_v6_daddr));
	} else {
		h->family = ETH_P_IP;
		h->l3[9] = PROTO_TCP;
		a = BPF_CORE_READ(c, skc_rcv_saddr);
		__builtin_memcpy(&h->l3[12], &a, 4);
		a = BPF_CORE_READ(c, skc_daddr);
		__builtin_memcpy(&h->l3[16], &a, 4);
	}
	__builtin_memcpy(&h->l4[0], &port, 2);
	port = BPF_CORE_READ(c, skc_dport);
	__builtin_memcpy(&h->l4[2], &port, 2);
}

static __always_inline void ends(struct note *n, struct sock_common___ends *c)
{
	n->family = six(c) ? ETH_P_IPV6 : ETH_P_IP;
	n->local_port = BPF_CORE_READ(c, skc_num);
	n->remote_port = bpf_ntohs(BPF_CORE_READ(c, skc_dport));
	if (six(c)) {
		bpf_probe_read_kernel(n->local, 16, (void *)c + bpf_core_field_offset(struct sock_common___ends, skc_v6_rcv_saddr));
		bpf_probe_read_kernel(n->remote, 16, (void *)c + bpf_core_field_offset(struct sock_common___ends, skc_v6_daddr));
		return;
	}
	bpf_probe_read_kernel(n->local, 4, (void *)c + bpf_core_field_offset(struct sock_common___ends, skc_rcv_saddr));
	bpf_probe_read_kernel(n->remote, 4, (void *)c + bpf_core_field_offset(struct sock_common___ends, skc_daddr));
}

/* Whose it is: noted as soon as it is known, for at the end it may be nobody's. */
static __always_inline void note_whose(struct connection *k, struct sock___bc *sk)
{
	struct owner *o = owner_of(sk);

	if (!o)
		return;
	k->tgid = o->tgid;
	k->wanted = o->wanted;
	__builtin_memcpy(k->comm, o->comm, sizeof(k->comm));
}

static __always_inline int tell(struct connection *k, void *sk, u32 what, u32 a, u32 b, bool begins)
{
	struct tcp_sock___counts *tp = sk;
	struct note *n = reserve(struct note);

	if (!n)
		return lost();
	__builtin_memset(n, 0, sizeof(*n));
	n->at = bpf_ktime_get_ns();
	n->id = k->id;
	n->what = what;
	n->cpu = bpf_get_smp_processor_id();
	n->a = a;
	n->b = b;
	n->tgid = k->tgid;
	__builtin_memcpy(n->comm, k->comm, sizeof(n->comm));
	n->net = net_of_socket(sk);
	n->how = (begins ? BEGINS : 0) | (k->wanted ? CHOSEN : 0);
	ends(n, sk);
	n->sent = BPF_CORE_READ(tp, bytes_acked);
	n->received = BPF_CORE_READ(tp, bytes_received);
	n->rtt_us = BPF_CORE_READ(tp, srtt_us) >> 3; /* it is kept eightfold */
	n->again = BPF_CORE_READ(tp, total_retrans);
	give(n);
	return 0;
}

static __always_inline int begin(void *sk, u64 key, int old, int new)
{
	u32 zero = 0;
	struct header *h = bpf_map_lookup_elem(&headers, &zero);
	struct connection k = {};
	u64 at = bpf_ktime_get_ns();

	if (!h || (only_net && net_of_socket(sk) != only_net))
		return 0;
	describe(h, sk);
	if (!match(h) || !admitted(at))
		return 0;
	__sync_fetch_and_add(&total.connections, 1);
	k.id = at << 12 | (bpf_get_smp_processor_id() & 0xfff);
	note_whose(&k, sk);
	if (!k.tgid && old == TCP_CLOSE) { /* connect: by whoever is here */
		k.tgid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(k.comm, sizeof(k.comm));
		k.wanted = choose && chosen((struct task_struct *)bpf_get_current_task());
	}
	if (bpf_map_update_elem(&connections, &key, &k, BPF_ANY)) {
		__sync_fetch_and_add(&total.full, 1);
		return 0;
	}
	return tell(&k, sk, STATE, old, new, true);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, void *sk, int old, int new)
{
	u64 key = (u64)sk;
	struct connection *k = bpf_map_lookup_elem(&connections, &key);
	struct connection last;

	if (k && old == TCP_CLOSE) { /* its end was not seen */
		bpf_map_delete_elem(&connections, &key);
		k = NULL;
	}
	if (!k) {
		if (new == TCP_CLOSE || new == TCP_LISTEN || old == TCP_LISTEN)
			return 0;
		return begin(sk, key, old, new);
	}
	note_whose(k, sk);
	if (new != TCP_CLOSE)
		return tell(k, sk, STATE, old, new, false);
	last = *k;
	bpf_map_delete_elem(&connections, &key);
	return tell(&last, sk, END, old, new, false);
}

static __always_inline int tell_if_followed(void *sk, u32 what)
{
	u64 key = (u64)sk;
	struct connection *k = bpf_map_lookup_elem(&connections, &key);

	return k ? tell(k, sk, what, BPF_CORE_READ((struct sock___bc *)sk, __sk_common.skc_state), 0, false) : 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(again, void *sk)
{
	return tell_if_followed(sk, AGAIN);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent, void *sk)
{
	return sk ? tell_if_followed(sk, RESET_SENT) : 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, void *sk)
{
	return tell_if_followed(sk, RESET_RECEIVED);
}
