/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Times of things that are no tasks: packets, connections, requests to disks. What
 * has begun is found again by the address of the kernel's object for it.
 */
#ifndef BEARCAT_HIST_OBJECTS_H
#define BEARCAT_HIST_OBJECTS_H

/* Defined before this is included: add(), current_wanted(), current_task(), the constants. */

struct object {
	u64 at;
	u64 group;
	u32 tgid;
	u32 pad;
	char comm[16];
	char device[16];
};

/* What begins and never ends, such as a packet that is dropped, must make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TASKS);
	__type(key, u64);
	__type(value, struct object);
} objects SEC(".maps");

static __always_inline void of_current(struct object *o)
{
	o->tgid = bpf_get_current_pid_tgid() >> 32;
	if (by == BY_PROCESS)
		BPF_CORE_READ_INTO(&o->comm, current_task(), group_leader, comm);
	else if (by == BY_GROUP)
		o->group = group_of(current_task());
}

static __always_inline void object_begin(u64 address, u32 of_task, struct net_device___bc *dev)
{
	struct object o = { .at = bpf_ktime_get_ns() };

	if (of_task)
		of_current(&o);
	if (by == BY_OWN && dev)
		name_of_device(o.device, sizeof(o.device), dev);
	bpf_map_update_elem(&objects, &address, &o, BPF_ANY);
}

/* The time since the beginning, 0 where it was not seen. out gets what was noted. */
static __always_inline u64 object_end(u64 address, struct object *out)
{
	struct object *o = bpf_map_lookup_elem(&objects, &address);
	u64 now = bpf_ktime_get_ns();

	if (!o)
		return 0;
	__builtin_memcpy(out, o, sizeof(*out));
	bpf_map_delete_elem(&objects, &address);
	return out->at && now > out->at ? now - out->at : 0;
}

/* Adds a time to the group of what is known of an object. */
static __always_inline void add_object(struct object *o, u64 ns)
{
	struct hist_key key = {};

	if (by == BY_PROCESS) {
		key.id = o->tgid;
		__builtin_memcpy(key.name, o->comm, sizeof(key.name));
	} else if (by == BY_CPU) {
		key.id = bpf_get_smp_processor_id();
	} else if (by == BY_OWN) {
		__builtin_memcpy(key.name, o->device, sizeof(key.name));
	} else if (by == BY_GROUP) {
		key.id = o->group;
	}
	add(&key, ns);
}

#define SYN_SENT 2
#define ESTABLISHED 1

/* connect: from a program's first packet for a TCP connection to its being there. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(connect_state, void *sk, int before, int after)
{
	struct object o;
	u64 ns;

	if (after == SYN_SENT) {
		if (current_wanted())
			object_begin((u64)sk, 1, NULL);
	} else if (before == SYN_SENT) {
		ns = object_end((u64)sk, &o);
		if (ns && after == ESTABLISHED)
			add_object(&o, ns);
	}
	return 0;
}

struct tcp_sock___h {
	u32 srtt_us; /* eight times the smoothed time, in microseconds */
} __attribute__((preserve_access_index));

/* rtt: what TCP takes for the round trip at each segment that comes in. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(rtt_probe, void *sk)
{
	u64 us = BPF_CORE_READ((struct tcp_sock___h *)sk, srtt_us) >> 3;
	struct object o = {};

	if (us && (!only_netns || net_of_socket(sk) == only_netns))
		add_object(&o, us * 1000);
	return 0;
}

/* rxwait: from the device's handing a packet to the protocols to a program's read. */
SEC("tp_btf/netif_receive_skb")
int BPF_PROG(rxwait_receive, void *skb)
{
	object_begin((u64)skb, 0, BPF_CORE_READ((struct sk_buff___bc *)skb, dev));
	return 0;
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(rxwait_copy, void *skb)
{
	struct object o;
	u64 ns;

	if (!current_wanted())
		return 0;
	ns = object_end((u64)skb, &o);
	if (!ns)
		return 0;
	of_current(&o);
	add_object(&o, ns);
	return 0;
}

/* qdisc: from being given to the queueing discipline to being given to the driver. */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(qdisc_queue, void *skb)
{
	struct net_device___bc *dev = BPF_CORE_READ((struct sk_buff___bc *)skb, dev);

	if (!only_netns || net_of_device(dev) == only_netns)
		object_begin((u64)skb, 0, dev);
	return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(qdisc_xmit, void *skb)
{
	struct object o;
	u64 ns = object_end((u64)skb, &o);

	if (ns)
		add_object(&o, ns);
	return 0;
}

/* block: from a request's being given to the device to its end. */
SEC("tp_btf/block_rq_issue")
int block_issue(u64 *ctx)
{
	object_begin(first_or_second(ctx, request_second), 0, NULL);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int block_complete(u64 *ctx)
{
	struct request___bc *rq = (void *)ctx[0];
	struct gendisk___bc *disk;
	struct object o;
	u64 ns = object_end((u64)rq, &o);

	if (!ns)
		return 0;
	if (by == BY_OWN) {
		disk = disk_of(rq);
		bpf_probe_read_kernel_str(o.device, sizeof(o.device), __builtin_preserve_access_index(&disk->disk_name));
	}
	add_object(&o, ns);
	return 0;
}

/* reclaim: a task that must free memory itself before it gets any. */
static __always_inline int reclaim_from(void)
{
	u64 self = bpf_get_current_pid_tgid();

	if (current_wanted())
		object_begin(self, 1, NULL);
	return 0;
}

static __always_inline int reclaim_to(void)
{
	struct object o;
	u64 ns = object_end(bpf_get_current_pid_tgid(), &o);

	if (ns)
		add_object(&o, ns);
	return 0;
}

/* The whole host is short of memory. */
SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(reclaim_begin)
{
	return reclaim_from();
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(reclaim_end)
{
	return reclaim_to();
}

/* A control group has reached its limit. */
SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(reclaim_group_begin)
{
	return reclaim_from();
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(reclaim_group_end)
{
	return reclaim_to();
}

#endif
