/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * TCP connections: whose they are, when they begin and end, and what the kernel has
 * counted of each. No packet runs a program: bytes, round trips and retransmits are read
 * from the kernel's own counts, at the end of an interval from those that have a
 * descriptor, and at the end of a connection from it.
 */
#ifndef BEARCAT_TOP_TCP_H
#define BEARCAT_TOP_TCP_H

/* Defined before this is included: chosen(), name_of(), now_in(), the constants. */

#define CONNECTIONS 65536
#define ENDS 16384
#define IS_SOCKET 0140000
#define KIND_OF_FILE 0170000
#define TCP 6
#define MPTCP 262
#define INET 2
#define INET6 10

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN };

/* What is known of a connection. */
enum { TCP_OUT = 1, TCP_IN = 2, TCP_ENDED = 4 };

struct tcp_whose {
	u32 tgid;
	u32 wanted;
	char comm[16];
};

struct tcp_conn {
	u64 born; /* tells it from others at the same address */
	u64 connecting; /* how long it took to be there; 0 where that was not seen */
	u64 walk; /* the states that it came to, four bits each, the last one lowest */
	struct tcp_whose whose;
	u32 flags;
	u32 resets_in;
	u32 resets_out;
	u32 epoch; /* it ended in */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONNECTIONS);
	__type(key, u64);
	__type(value, struct tcp_conn);
} conns SEC(".maps");

/* A connection and the kernel's counts of it. */
struct tcp_seen {
	u64 sk;
	struct tcp_conn conn;
	struct tcp_whose holder; /* who has a descriptor of it */
	u64 sent;
	u64 received;
	u32 retransmits;
	u32 rtt_us;
	u32 queue_in;
	u32 queue_out;
	u32 net; /* its network namespace */
	u32 pad;
	u16 family;
	u16 local_port;
	u16 remote_port;
	u8 state;
	u8 before; /* state before the end */
	u8 local[16];
	u8 remote[16];
};

struct tcp_end_key {
	u64 sk;
	u64 born;
	u32 epoch;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENDS);
	__type(key, struct tcp_end_key);
	__type(value, struct tcp_seen);
} ends SEC(".maps");

/* Resets that were sent for no connection, as to who asks for a closed port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} refusals SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr___t {
	u8 bytes[16];
};

struct possible_net___t {
	struct net *net;
};

struct sock_common___t {
	struct possible_net___t skc_net;
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	unsigned long skc_flags;
	struct in6_addr___t skc_v6_daddr;
	struct in6_addr___t skc_v6_rcv_saddr;
};

struct sock___t {
	struct sock_common___t __sk_common;
	u16 sk_protocol;
};

struct inet_sock___t {
	u16 inet_sport;
};

enum sock_flags___t { SOCK_DONE___t = 1 };

struct socket___t {
	struct sock___t *sk;
};

struct tcp_sock___t {
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	u32 total_retrans;
	u32 srtt_us; /* eight times the smoothed time, in microseconds */
	u32 rcv_nxt;
	u32 copied_seq;
	u32 write_seq;
	u32 snd_una;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

#pragma clang attribute pop

static __always_inline bool is_protocol(struct sock___t *sk, u16 protocol)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == INET || family == INET6) && BPF_CORE_READ(sk, sk_protocol) == protocol;
}

static __always_inline void note_whose(struct tcp_whose *w, struct task_struct *t)
{
	w->tgid = BPF_CORE_READ(t, tgid);
	w->wanted = wanted(t);
	name_of(w->comm, BPF_CORE_READ(t, group_leader));
}

/* A new connection at this address. */
static __always_inline struct tcp_conn *conn_begin(u64 sk, u32 flags, u64 how)
{
	struct tcp_conn c = { .born = bpf_ktime_get_ns(), .flags = flags };

	if (flags & TCP_OUT)
		note_whose(&c.whose, (struct task_struct *)bpf_get_current_task());
	if (bpf_map_update_elem(&conns, &sk, &c, how) && how != BPF_NOEXIST)
		count_lost(LOST_ENTRY);
	return bpf_map_lookup_elem(&conns, &sk);
}

static __always_inline void read_counts(struct tcp_seen *r, struct sock___t *sk)
{
	struct tcp_sock___t *tp = (struct tcp_sock___t *)sk;
	u16 remote = BPF_CORE_READ(sk, __sk_common.skc_dport), local = BPF_CORE_READ((struct inet_sock___t *)sk, inet_sport);
	/* the other end's last word takes a number like a byte */
	u64 fin = BPF_CORE_READ(sk, __sk_common.skc_flags) >> bpf_core_enum_value(enum sock_flags___t, SOCK_DONE___t) & 1;

	r->sk = (u64)sk;
	r->sent = BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans);
	r->received = BPF_CORE_READ(tp, bytes_received) - fin;
	r->retransmits = BPF_CORE_READ(tp, total_retrans);
	r->rtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
	r->queue_in = BPF_CORE_READ(tp, rcv_nxt) - BPF_CORE_READ(tp, copied_seq);
	if (fin && r->queue_in)
		r->queue_in--;
	r->queue_out = BPF_CORE_READ(tp, write_seq) - BPF_CORE_READ(tp, snd_una);
	r->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	r->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	r->net = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	r->local_port = local >> 8 | local << 8;
	r->remote_port = remote >> 8 | remote << 8;
	if (r->family == INET) {
		BPF_CORE_READ_INTO((u32 *)r->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((u32 *)r->remote, sk, __sk_common.skc_daddr);
	} else if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) { /* a kernel may be without */
		BPF_CORE_READ_INTO(&r->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&r->remote, sk, __sk_common.skc_v6_daddr);
	}
}

/* The last counts of a connection. */
static __always_inline void conn_end(struct sock___t *sk, u8 before)
{
	struct interval *in = now_in();
	struct tcp_end_key key = { .sk = (u64)sk };
	struct tcp_seen r = {};
	struct tcp_conn *c;

	c = bpf_map_lookup_elem(&conns, &key.sk);
	if (!c || !in || c->flags & TCP_ENDED)
		return;
	c->flags |= TCP_ENDED;
	c->epoch = in->epoch;
	key.born = c->born;
	key.epoch = in->epoch;
	read_counts(&r, sk);
	r.before = before;
	r.conn = *c;
	if (bpf_map_update_elem(&ends, &key, &r, BPF_ANY))
		count_lost(LOST_TASK);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock___t *sk, int before, int after)
{
	struct tcp_conn *c;
	u64 at = (u64)sk;

	if (!is_protocol(sk, TCP))
		return 0;
	if (after == SYN_SENT)
		conn_begin(at, TCP_OUT, BPF_ANY);
	else if (after == ESTABLISHED && before == SYN_RECV)
		conn_begin(at, TCP_IN, BPF_ANY);
	c = bpf_map_lookup_elem(&conns, &at);
	if (!c)
		return 0;
	if (before == SYN_RECV)
		c->walk = SYN_RECV;
	c->walk = c->walk << 4 | (after & 15);
	switch (after) {
	case ESTABLISHED:
		if (before == SYN_SENT)
			c->connecting = bpf_ktime_get_ns() - c->born;
		break;
	case FIN_WAIT1:
	case LAST_ACK:
		/* only the process that closes it gets it there */
		if (!c->whose.tgid)
			note_whose(&c->whose, (struct task_struct *)bpf_get_current_task());
		break;
	case CLOSE:
		conn_end(sk, before);
		break;
	}
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy, struct sock___t *sk)
{
	u64 at = (u64)sk;

	conn_end(sk, 0);
	bpf_map_delete_elem(&conns, &at);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_reset_in, struct sock___t *sk)
{
	u64 at = (u64)sk;
	struct tcp_conn *c = bpf_map_lookup_elem(&conns, &at);

	if (c)
		__sync_fetch_and_add(&c->resets_in, 1);
	return 0;
}

/* Some are sent when the connection has ended already. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_reset_out, struct sock___t *sk)
{
	struct tcp_end_key key = { .sk = (u64)sk };
	struct tcp_conn *c = bpf_map_lookup_elem(&conns, &key.sk);
	struct tcp_seen *r;
	u32 zero = 0;
	u64 *n;

	if (!c) {
		n = bpf_map_lookup_elem(&refusals, &zero);
		if (n)
			__sync_fetch_and_add(n, 1);
		return 0;
	}
	__sync_fetch_and_add(&c->resets_out, 1);
	if (!(c->flags & TCP_ENDED))
		return 0;
	key.born = c->born;
	key.epoch = c->epoch;
	r = bpf_map_lookup_elem(&ends, &key);
	if (r)
		r->conn.resets_out = c->resets_out;
	return 0;
}

/* Who first uses a connection that came in has accepted it. */
static __always_inline int used(u64 sk)
{
	struct tcp_conn *c = bpf_map_lookup_elem(&conns, &sk);

	if (c && !c->whose.tgid)
		note_whose(&c->whose, (struct task_struct *)bpf_get_current_task());
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(tcp_sends, void *sk)
{
	return used((u64)sk);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(tcp_receives, void *sk)
{
	return used((u64)sk);
}

/* Connections that have a descriptor. */
SEC("iter/task_file")
int tcp_list(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	struct tcp_seen r = {};
	struct socket___t *so;
	struct sock___t *sk;
	struct tcp_conn *c;
	u8 state;
	u64 at;

	if (!t || !f || (BPF_CORE_READ(f, f_inode, i_mode) & KIND_OF_FILE) != IS_SOCKET)
		return 0;
	/* before 5.11 threads are listed too, with the same files */
	if (BPF_CORE_READ(t, pid) != BPF_CORE_READ(t, tgid) && BPF_CORE_READ(t, files) == BPF_CORE_READ(t, group_leader, files))
		return 0;
	so = BPF_CORE_READ(f, private_data);
	sk = BPF_CORE_READ(so, sk);
	if (!sk || !wanted(t))
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	/* who listens for MPTCP, as programs in Go do, also takes connections of TCP */
	if (state == CLOSE || !(is_protocol(sk, TCP) || (state == LISTEN && is_protocol(sk, MPTCP))))
		return 0;
	read_counts(&r, sk);
	note_whose(&r.holder, t);
	if (state == LISTEN) {
		bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
		return 0;
	}
	at = (u64)sk;
	c = bpf_map_lookup_elem(&conns, &at);
	if (!c)
		c = conn_begin(at, 0, BPF_NOEXIST);
	if (!c) {
		count_lost(LOST_ENTRY);
		return 0;
	}
	r.conn = *c;
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

const struct tcp_seen *unused_seen __attribute__((unused));
const struct tcp_end_key *unused_end __attribute__((unused));

#endif
