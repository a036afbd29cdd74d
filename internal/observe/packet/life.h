/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where lives of packets begin, and how they are told. */
#ifndef BEARCAT_LIFE_H
#define BEARCAT_LIFE_H

#include "packet.h"
#include <bpf/bpf_endian.h>

struct skb_shared_info___bc {
	unsigned short gso_segs;
	struct {
		int counter;
	} dataref;
} __attribute__((preserve_access_index));

static __always_inline void fill(struct note *n, u64 life, u16 what, u16 how, struct now *now)
{
	u64 ids = bpf_get_current_pid_tgid();

	__builtin_memset(n, 0, sizeof(*n));
	n->at = bpf_ktime_get_ns();
	n->life = life;
	n->what = what;
	n->how = how;
	n->cpu = bpf_get_smp_processor_id();
	n->stack = -1;
	if (in_process(now)) {
		n->how |= IN_PROCESS;
		n->tgid = ids >> 32;
		n->tid = ids;
		bpf_get_current_comm(n->comm, sizeof(n->comm));
		if (choose && current_chosen())
			n->how |= CHOSEN;
	}
}

/* Whose socket it is. */
static __always_inline void fill_owner(struct note *n, struct owner *o)
{
	n->tgid = o->tgid;
	__builtin_memcpy(n->comm, o->comm, sizeof(n->comm));
	if (o->wanted)
		n->how |= CHOSEN;
}

/* The functions from here on that take a packet want it as the tracepoint gives it: the
 * verifier knows then what it is, and reads of it are loads and no calls. Addresses of bytes
 * are read by calls all the same: from 6.17 on they are no numbers if they are loaded. */


static __always_inline struct skb_shared_info___bc *shared(struct sk_buff___bc *skb)
{
	return (void *)BPF_CORE_READ(skb, head) + skb->end;
}

static __always_inline u32 device_net(struct sk_buff___bc *skb)
{
	struct net_device___bc *dev = skb->dev;

	return dev ? net_of_known_device(dev) : 0;
}

/* Reads the packet's headers. False where it has none that can be read. */
static __always_inline bool read_header(struct header *h, struct sk_buff___bc *skb, bool sent)
{
	unsigned char *head = BPF_CORE_READ(skb, head), *data = BPF_CORE_READ(skb, data), *base = data;
	u32 length = skb->len, linear, before = 0, l4, fragment = 0;
	u16 network = skb->network_header;

	linear = length - skb->data_len;
	if (sent) {
		if (network == NO_HEADER || head + network < data)
			return false;
		base = head + network;
		before = base - data;
	}
	if (linear <= before)
		return false;
	linear -= before;
	__builtin_memset(h, 0, sizeof(*h));
	h->length = length - before;
	h->sent = sent;
	h->family = bpf_ntohs(skb->protocol);
	h->linear = linear;
	h->base = (u64)base;
	if (bpf_probe_read_kernel(h->l3, HEADER, base))
		return false;
	if (h->family == ETH_P_IP) {
		h->proto = h->l3[9];
		l4 = (h->l3[0] & 15) * 4;
		fragment = (h->l3[6] & 0x1f) | h->l3[7];
	} else if (h->family == ETH_P_IPV6) {
		h->proto = h->l3[6];
		l4 = 40;
		for (int i = 0; i < 4; i++) { /* so many headers before the one that counts */
			u8 next[4] = {};

			if (h->proto != 0 && h->proto != 43 && h->proto != 44 && h->proto != 60)
				break;
			if (bpf_probe_read_kernel(next, sizeof(next), base + l4))
				break;
			if (h->proto == 44) {
				fragment = next[2] | (next[3] & 0xf8);
				l4 += 8;
			} else {
				l4 += 8 + next[1] * 8;
			}
			h->proto = next[0];
		}
	} else {
		return true;
	}
	if (!fragment && l4 < linear && !bpf_probe_read_kernel(h->l4, HEADER, base + l4))
		h->l4_has = linear - l4 < HEADER ? linear - l4 : HEADER;
	return true;
}

static __always_inline void how_it_came(struct birth *b, struct now *now, u64 head, bool sent)
{
	struct gro *g = &now->gro[(head >> 8) % GRO_SLOTS];
	struct call *c;

	if (sent) {
		if (!in_process(now))
			return;
		c = call_here();
		if (!c)
			return;
		c->life = b->note.life;
		b->call_at = c->at;
		b->call = c->nr;
		b->fd = c->fd;
		b->route_at = c->route_at;
		b->route_table = c->route_table;
		b->route_error = c->route_error;
		b->gateway = c->gateway;
		b->neighbour_at = c->neighbour_at;
		b->neighbour = c->neighbour;
		__builtin_memcpy(b->route_device, c->route_device, sizeof(b->route_device));
		return;
	}
	if (g->head == head) {
		b->gro_at = g->at;
		g->head = 0;
	}
	if (now->in_softirq) { /* it began with an interrupt for the first packet only */
		b->softirq_at = now->softirq_at;
		b->raised_at = now->softirq_raised_at;
		b->irq_at = now->softirq_irq_at;
		b->irq = now->softirq_irq;
		now->softirq_at = now->softirq_raised_at = now->softirq_irq_at = 0;
	}
}

static __always_inline void life_ends(u64 head)
{
	if (!bpf_map_delete_elem(&lives, &head))
		__sync_fetch_and_add(&total.ended, 1);
}

/* Begins a life, where the filter takes the packet. Returns its number, or 0. */
static __always_inline u64 begin(void *ctx, struct sk_buff___bc *skb, u64 head, u16 what, bool sent, struct now *now)
{
	struct net_device___bc *dev = skb->dev;
	u64 *left = &now->left[(head >> 8) % GRO_SLOTS];
	struct life l = {.what = what};
	struct sock___bc *sk;
	struct header *h;
	struct owner *o;
	struct birth *b;
	u32 zero = 0, net;

	if (!sent && *left == head) {
		if (what == RECEIVED) /* the last place: another packet may have this one's from now on */
			*left = 0;
		return 0;
	}
	net = dev ? net_of_known_device(dev) : 0;
	if (only_net && net != only_net)
		return 0;
	h = bpf_map_lookup_elem(&headers, &zero);
	if (!h)
		return 0;
	if (!directed && what != RECEIVED)
		*left = head;
	if (!read_header(h, skb, sent) || !match(h))
		return 0;
	l.seen = bpf_ktime_get_ns();
	if (!admitted(l.seen)) {
		if (what != RECEIVED)
			*left = head;
		return 0;
	}
	*left = 0;
	__sync_fetch_and_add(&total.lives, 1);
	l.id = ++now->lives << 12 | (bpf_get_smp_processor_id() & 0xfff);
	if (!bpf_map_update_elem(&lives, &head, &l, BPF_NOEXIST)) {
		__sync_fetch_and_add(&total.begun, 1);
	} else if (bpf_map_update_elem(&lives, &head, &l, BPF_EXIST)) { /* of another in the same place */
		__sync_fetch_and_add(&total.full, 1);
		return 0;
	}
	b = reserve(struct birth);
	if (!b) {
		life_ends(head);
		return lost();
	}
	__builtin_memset(b, 0, sizeof(*b));
	fill(&b->note, l.id, what, LIFE_BEGINS | (sent ? LIFE_SENT : 0), now);
	b->note.net = net;
	if (dev)
		name_of_device(b->note.device, sizeof(b->note.device), dev);
	if (sent) {
		b->note.stack = bpf_get_stackid(ctx, &stacks, 0);
		sk = skb->sk;
		o = sk && !in_process(now) ? owner_of(sk) : NULL;
		if (o)
			fill_owner(&b->note, o);
	}
	how_it_came(b, now, head, sent);
	b->length = h->length;
	b->family = h->family;
	b->segments = BPF_CORE_READ(shared(skb), gso_segs);
	b->has = h->linear < BYTES ? h->linear : BYTES;
	if (bpf_probe_read_kernel(b->bytes, BYTES, (void *)h->base))
		bpf_probe_read_kernel(b->bytes, HEADER, (void *)h->base);
	give(b);
	return l.id;
}

/* Goes on with a life. Ends it where that is asked. Returns its number. */
static __always_inline u64 go_on(struct life *l, u64 head, u16 what, u16 how)
{
	u64 id = l->id;

	l->what = what;
	l->seen = bpf_ktime_get_ns();
	if (how & LIFE_ENDS)
		life_ends(head);
	return id;
}

/* The same, with a note of which no more is to be told. */
static __always_inline int tell(struct life *l, u64 head, u16 what, u16 how, struct now *now)
{
	u64 id = go_on(l, head, what, how);
	struct note *n = reserve(struct note);

	if (!n)
		return lost();
	fill(n, id, what, how, now);
	give(n);
	return 0;
}

#endif
