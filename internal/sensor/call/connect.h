/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which connects are of interest by where they go (event.ConnectFilter says the
 * same in Go). Whatever cannot be read counts as wanted.
 */
#ifndef BEARCAT_CONNECT_H
#define BEARCAT_CONNECT_H

#include "call.h"

/* What is wanted (event.ConnectWant). */
enum bc_want {
	BC_WANT_NONE = 0,
	BC_WANT_ONCE = 1, /* the first of a process with its result within a second */
	BC_WANT_ALL = 2,
};

#define WANT_BITS 3u  /* of a network's value */
#define WANT_PORTS 4u /* it has ports that are wanted otherwise */
#define WANT_CLASS 3  /* the number by which these are found lies above */

/* Networks of the other end; IPv4 ones as ::ffff:0:0/96. */
struct bc_connect_net {
	u32 bits;
	u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 131072);
	__type(key, struct bc_connect_net);
	__type(value, u32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} connect_nets SEC(".maps");

struct bc_connect_port {
	u32 class;
	u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct bc_connect_port);
	__type(value, u32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} connect_ports SEC(".maps");

struct bc_connect_seen {
	u8 addr[16];
	u32 tgid;
	s32 ret;
	u16 port;
	u16 type;  /* of the socket: programs try with datagrams how an address is reached */
	u32 rules; /* for which set of rules it was told */
};

/* When a process's connect that is wanted once was told last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct bc_connect_seen);
	__type(value, u64);
} connect_seen SEC(".maps");

static __always_inline void bc_mapped(u8 *to, u32 addr)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &addr, 4);
}

/* Neither :: nor 0.0.0.0, and with a port. */
static __always_inline bool bc_is_plain(struct bc_connect_seen *k)
{
	u64 *a = (u64 *)k->addr;

	return k->port && !(a[0] == 0 && (a[1] == 0 || a[1] == 0xffff0000ull));
}

static __noinline u32 bc_connect_want(struct bc_connect_seen *k)
{
	struct bc_connect_net net = { .bits = 128 };
	struct bc_connect_port p = {};
	u64 now, *last;
	u32 *v, want;

	if (!k || !bc_is_plain(k))
		return BC_WANT_ALL;
	now = bpf_ktime_get_ns();
	last = bpf_map_lookup_elem(&connect_seen, k);
	if (last && now - *last < 1000000000ull)
		return BC_WANT_NONE;
	__builtin_memcpy(net.addr, k->addr, 16);
	v = bpf_map_lookup_elem(&connect_nets, &net);
	if (!v)
		return BC_WANT_ALL;
	want = *v & WANT_BITS;
	if (*v & WANT_PORTS) {
		p.class = *v >> WANT_CLASS;
		p.port = k->port;
		v = bpf_map_lookup_elem(&connect_ports, &p);
		if (v)
			want = *v;
	}
	if (want == BC_WANT_ONCE)
		bpf_map_update_elem(&connect_seen, k, &now, BPF_ANY);
	return want;
}

/* Reads the address that was passed; its family, or 0 where it cannot be told. */
static __always_inline u32 bc_connect_passed(struct bc_call *r, struct bc_connect_seen *k)
{
	u64 at = r->args[1];
	u32 len = r->args[2];
	u32 raw[4] = {};
	u32 family;

	if (len < 2 || bpf_probe_read_user(raw, len < 16 ? 2 : 16, (void *)at))
		return 0;
	family = raw[0] & 0xffff;
	if (family == AF_INET) {
		if (len < 16)
			return 0;
		bc_mapped(k->addr, raw[1]);
	} else if (family == AF_INET6) {
		if (len < 24 || bpf_probe_read_user(k->addr, 16, (void *)(at + 8)))
			return 0;
	}
	k->port = bpf_ntohs(raw[0] >> 16);
	return family;
}

/* Reads what the socket has; false where it is not connected to an internet address.
 * Its type is read in any case. */
static __always_inline bool bc_connect_has(u64 task, struct bc_call *r, struct bc_connect_seen *k)
{
	u64 f = bc_file_at(task, r->args[0]);
	struct sock *sk;
	u32 family;

	if (!f)
		return false;
	f = (u64)BPF_CORE_READ((struct file *)f, private_data);
	k->type = BPF_CORE_READ((struct socket *)f, type);
	if (r->ret != 0 && r->ret != -115)
		return false;
	sk = BPF_CORE_READ((struct socket *)f, sk);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	k->port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET)
		bc_mapped(k->addr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	else if (family == AF_INET6 && bpf_core_field_exists(sk->__sk_common.skc_v6_daddr))
		bpf_core_read(k->addr, 16, &sk->__sk_common.skc_v6_daddr);
	else
		return false;
	return k->port != 0;
}

/* Whether a connect is wanted. Its address may have been changed by the caller since,
 * its descriptor by another thread: it is left out where both ends allow it. */
__noinline int bc_connect_wanted(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_settings *set = bc_get_settings();
	struct bc_connect_seen passed = {}, has = {};
	struct bc_call *r;
	u32 family;
	bool is;

	if (!s || !set)
		return 1;
	r = (struct bc_call *)s->data;
	family = bc_connect_passed(r, &passed);
	if (family != AF_INET && family != AF_INET6)
		return !family || set->connect_other;
	passed.tgid = has.tgid = bpf_get_current_pid_tgid() >> 32;
	passed.rules = has.rules = set->connects;
	passed.ret = has.ret = r->ret;
	is = bc_connect_has(s->w.task, r, &has);
	passed.type = has.type;
	if (is &&
	    (passed.port != has.port || ((u64 *)passed.addr)[0] != ((u64 *)has.addr)[0] || ((u64 *)passed.addr)[1] != ((u64 *)has.addr)[1]) &&
	    bc_connect_want(&has))
		return 1;
	return bc_connect_want(&passed) != BC_WANT_NONE;
}

#endif
