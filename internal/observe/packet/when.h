/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What processors and threads are doing when a packet is seen. */
#ifndef BEARCAT_WHEN_H
#define BEARCAT_WHEN_H

#include "life.h"

#define NET_RX 3

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(irq_begins, int irq)
{
	struct now *now = now_here();

	if (now) {
		now->in_irq = 1;
		now->irq = irq;
		now->irq_at = bpf_ktime_get_ns();
	}
	return 0;
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(irq_ends, int irq)
{
	struct now *now = now_here();

	if (now)
		now->in_irq = 0;
	return 0;
}

SEC("tp_btf/softirq_raise")
int BPF_PROG(softirq_raised, u32 nr)
{
	struct now *now = now_here();

	if (nr != NET_RX || !now || now->raised_at)
		return 0;
	now->raised_at = bpf_ktime_get_ns();
	now->raised_by_at = now->in_irq ? now->irq_at : 0;
	now->raised_by = now->irq;
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_begins, u32 nr)
{
	struct now *now = now_here();

	if (!now)
		return 0;
	now->in_softirq = 1;
	if (nr != NET_RX)
		return 0;
	now->softirq_at = bpf_ktime_get_ns();
	now->softirq_raised_at = now->raised_at;
	now->softirq_irq_at = now->raised_by_at;
	now->softirq_irq = now->raised_by;
	now->raised_at = now->raised_by_at = 0;
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_ends, u32 nr)
{
	struct now *now = now_here();

	if (now) {
		now->in_softirq = 0;
		now->id = 0;
	}
	return 0;
}

static __always_inline bool sends(u64 nr)
{
	switch (nr) {
	case 1: /* write */
	case 20: /* writev */
	case 40: /* sendfile */
	case 42: /* connect */
	case 44: /* sendto */
	case 46: /* sendmsg */
	case 48: /* shutdown */
	case 307: /* sendmmsg */
		return true;
	}
	return false;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_begins, struct pt_regs *regs, long nr)
{
	struct call *c;
	u32 tid;

	if (!sends(nr))
		return 0;
	c = call_place(&tid);
	if (!c)
		return 0;
	c->tid = tid;
	c->nr = nr;
	c->fd = regs->di;
	c->life = c->route_at = c->neighbour_at = 0;
	c->at = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends, struct pt_regs *regs, long ret)
{
	struct now *now;
	struct call *c;
	struct note *n;

	if (!sends(regs->orig_ax))
		return 0;
	c = call_here();
	if (!c)
		return 0;
	c->at = 0;
	if (c->life) {
		now = now_here();
		if (!now)
			return 0;
		n = reserve(struct note);
		if (!n)
			return lost();
		fill(n, c->life, SENT, 0, now);
		n->a = ret;
		n->b = c->nr;
		give(n);
	}
	return 0;
}

struct fib_nh_common___bc {
	struct net_device___bc *nhc_dev;
	union {
		u32 ipv4;
	} nhc_gw;
} __attribute__((preserve_access_index));

static __always_inline struct call *call_now(void)
{
	struct now *now = now_here();

	return now && in_process(now) ? call_here() : NULL;
}

/* The last lookup is the one that counts: the table of local addresses comes first. */
SEC("tp_btf/fib_table_lookup")
int BPF_PROG(route, u32 table, void *flow, void *next, int error)
{
	struct fib_nh_common___bc *hop = next;
	struct net_device___bc *dev;
	struct call *c = call_now();

	if (!c)
		return 0;
	c->route_at = bpf_ktime_get_ns();
	c->route_table = table;
	c->route_error = error;
	c->gateway = 0;
	c->route_device[0] = 0;
	if (!hop || error)
		return 0;
	c->gateway = BPF_CORE_READ(hop, nhc_gw.ipv4);
	dev = BPF_CORE_READ(hop, nhc_dev);
	if (dev)
		name_of_device(c->route_device, sizeof(c->route_device), dev);
	return 0;
}

struct neighbour___bc {
	u8 primary_key[4];
} __attribute__((preserve_access_index));

SEC("tp_btf/neigh_event_send_done")
int BPF_PROG(neighbour_asked, struct neighbour___bc *n)
{
	struct call *c = call_now();

	if (!c)
		return 0;
	c->neighbour_at = bpf_ktime_get_ns();
	bpf_probe_read_kernel(&c->neighbour, sizeof(c->neighbour), (void *)n + bpf_core_field_offset(struct neighbour___bc, primary_key));
	return 0;
}

#endif
