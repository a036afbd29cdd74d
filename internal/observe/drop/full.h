/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose socket a dropped packet was for. */
#ifndef BEARCAT_DROP_FULL_H
#define BEARCAT_DROP_FULL_H

/* Defined before this is included: the types of drop.bpf.c. */

#define UDP 17

/* The socket whose buffer was full just now, by processor. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} full SEC(".maps");

/* Before 6.11 a datagram that finds its socket full is dropped without the socket. */
SEC("tp_btf/udp_fail_queue_rcv_skb")
int BPF_PROG(owner_full, int rc, void *sk)
{
	u32 zero = 0;
	u64 *at = bpf_map_lookup_elem(&full, &zero);

	if (at)
		*at = (u64)sk;
	return 0;
}

/* False where the owner is none of those that are asked for. */
static __always_inline bool name_owner(struct drop_key *key, struct sock___bc *sk)
{
	struct sock___bc *other;
	struct owner *o;
	u32 zero = 0;
	u64 *at;

	at = bpf_map_lookup_elem(&full, &zero);
	if (at) {
		other = (void *)*at;
		*at = 0;
		if (!sk && other && key->proto == UDP && BPF_CORE_READ(other, __sk_common.skc_num) == key->port)
			sk = other;
	}
	o = sk ? owner_of(sk) : NULL;
	if (!o)
		return !choose;
	key->tgid = o->tgid;
	__builtin_memcpy(key->comm, o->comm, sizeof(key->comm));
	return !choose || o->wanted;
}

#endif
