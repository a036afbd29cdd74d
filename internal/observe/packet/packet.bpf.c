//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Follows packets from the call that sends them, or the interrupt that brings them, to
 * the reader or the wire. */
#include "when.h"
#include "runnable.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_PACKET 17
#define DATAREF 0xffff /* of the count's other half it is not told */

/* bpf2go gives the types that are used for something. */
struct birth *unused_birth __attribute__((unused));
struct header *unused_header __attribute__((unused));
enum what *unused_what __attribute__((unused));
enum how *unused_how __attribute__((unused));

static __always_inline u64 head_of(struct sk_buff___bc *skb)
{
	return (u64)BPF_CORE_READ(skb, head);
}

/* The life of a packet; NULL where it has none. */
static __always_inline struct life *life_of(u64 head)
{
	return idle() ? NULL : bpf_map_lookup_elem(&lives, &head);
}

/* Whether a packet that is sent is one that is known, and not another in the same place. */
static __always_inline bool sent_on(struct life *l, u64 head, struct now *now)
{
	return l->what < RECEIVED || (now->in_softirq && now->head == head);
}

static __always_inline bool received_on(struct life *l, u64 head, struct now *now)
{
	return l->what < RECEIVED || (l->what == RECEIVED && now->in_softirq && now->head == head);
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(send_queued, void *packet)
{
	struct sk_buff___bc *skb = packet;
	struct net_device___bc *dev;
	struct now *now = now_here();
	u64 head = head_of(skb);
	struct life *l = life_of(head);
	struct note *n;
	u64 id;

	if (!now)
		return 0;
	if (!l || !sent_on(l, head, now)) {
		begin(ctx, skb, head, SEND_QUEUED, true, now);
		return 0;
	}
	id = go_on(l, head, SEND_QUEUED, 0);
	dev = skb->dev;
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, SEND_QUEUED, 0, now);
	if (dev) {
		name_of_device(n->device, sizeof(n->device), dev);
		n->net = net_of_known_device(dev);
	}
	give(n);
	return 0;
}

struct Qdisc_ops___bc {
	char id[16];
} __attribute__((preserve_access_index));

struct qdisc_skb_head___bc {
	u32 qlen;
} __attribute__((preserve_access_index));

struct Qdisc___bc {
	struct Qdisc_ops___bc *ops;
	struct qdisc_skb_head___bc q;
} __attribute__((preserve_access_index));

/* a is how many packets the queue holds. */
static __always_inline int queue(struct Qdisc___bc *q, void *packet, u16 what)
{
	struct now *now;
	struct life *l;
	struct note *n;
	u64 head, id;

	if (!packet || idle())
		return 0;
	now = now_here();
	head = head_of(packet);
	l = life_of(head);
	if (!l || !now)
		return 0;
	id = go_on(l, head, what, 0);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, what, 0, now);
	n->a = BPF_CORE_READ(q, q.qlen);
	BPF_CORE_READ_INTO(&n->device, q, ops, id);
	give(n);
	return 0;
}

SEC("tp_btf/qdisc_enqueue")
int BPF_PROG(qdisc_in, struct Qdisc___bc *q, void *txq, void *packet)
{
	return queue(q, packet, QDISC_IN);
}

SEC("tp_btf/qdisc_dequeue")
int BPF_PROG(qdisc_out, struct Qdisc___bc *q, void *txq, int packets, void *packet)
{
	return queue(q, packet, QDISC_OUT);
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(driver, void *packet, void *device)
{
	u64 head;
	struct life *l;
	struct now *now;
	struct note *n;
	u64 id;

	if (idle())
		return 0;
	head = head_of(packet);
	l = life_of(head);
	now = now_here();
	if (!l || !now)
		return 0;
	now->driver = (u64)packet;
	now->driver_id = l->id;
	id = go_on(l, head, DRIVER, 0);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, DRIVER, 0, now);
	n->a = ((struct sk_buff___bc *)packet)->queue_mapping;
	name_of_device(n->device, sizeof(n->device), device);
	give(n);
	return 0;
}

/* The packet may be gone by now: only its address is compared. */
SEC("tp_btf/net_dev_xmit")
int BPF_PROG(driver_back, void *packet, int rc)
{
	struct now *now = now_here();
	struct note *n;

	if (!now || !now->driver_id || now->driver != (u64)packet)
		return 0;
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, now->driver_id, DRIVER_BACK, 0, now);
	n->a = rc;
	give(n);
	now->driver_id = 0;
	return 0;
}

SEC("tp_btf/netif_rx")
int BPF_PROG(recv_queued, void *packet)
{
	struct sk_buff___bc *skb = packet;
	u64 head = head_of(skb);
	struct life *l = life_of(head);
	struct now *now = now_here();
	struct note *n;
	u64 id;

	if (!now)
		return 0;
	if (!l || !received_on(l, head, now)) {
		begin(ctx, skb, head, RECV_QUEUED, false, now);
		return 0;
	}
	id = go_on(l, head, RECV_QUEUED, 0);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, RECV_QUEUED, 0, now);
	n->net = device_net(skb);
	give(n);
	return 0;
}

SEC("tp_btf/napi_gro_receive_entry")
int BPF_PROG(gro, void *packet)
{
	u64 head = head_of(packet);
	struct life *l = life_of(head);
	struct now *now = now_here();
	struct gro *g;

	if (!now)
		return 0;
	if (l && received_on(l, head, now)) {
		return tell(l, head, GRO, 0, now);
	}
	if (now->left[(head >> 8) % GRO_SLOTS] == head) /* a device has brought another in its place */
		now->left[(head >> 8) % GRO_SLOTS] = 0;
	g = &now->gro[(head >> 8) % GRO_SLOTS];
	g->head = head;
	g->at = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void tell_received(struct life *l, struct sk_buff___bc *skb, u64 head, struct now *now)
{
	struct net_device___bc *dev = skb->dev;
	u64 id = go_on(l, head, RECEIVED, 0);
	struct note *n = reserve(struct note);

	if (!n) {
		lost();
		return;
	}
	fill(n, id, RECEIVED, 0, now);
	if (dev) {
		n->net = net_of_known_device(dev);
		name_of_device(n->device, sizeof(n->device), dev);
	}
	n->a = BPF_CORE_READ(shared(skb), gso_segs);
	give(n);
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(received, void *packet)
{
	struct sk_buff___bc *skb = packet;
	struct now *now = now_here();
	u64 head = head_of(skb);
	struct life *l = life_of(head);

	if (!now)
		return 0;
	if (l && received_on(l, head, now)) {
		now->id = l->id;
		tell_received(l, skb, head, now);
	} else {
		now->id = begin(ctx, skb, head, RECEIVED, false, now);
	}
	now->head = head;
	now->wakes = WAKES;
	now->told = 0;
	return 0;
}

struct tcp_sock___bc {
	u32 snd_cwnd;
	u32 srtt_us;
} __attribute__((preserve_access_index));

SEC("tp_btf/tcp_probe")
int BPF_PROG(tcp, void *sk, void *packet)
{
	struct sk_buff___bc *skb = packet;
	u64 head;
	struct life *l;
	struct now *now;
	unsigned char *header;
	struct note *n;
	u64 id;
	u16 how = 0;
	u8 words = 0;

	if (idle())
		return 0;
	head = head_of(skb);
	l = life_of(head);
	now = now_here();
	if (!l || !now)
		return 0;
	header = (unsigned char *)head + skb->transport_header;
	bpf_probe_read_kernel(&words, 1, header + 12);
	if (skb->len <= (words >> 4) * 4) /* no data: it ends here */
		how = LIFE_ENDS;
	id = go_on(l, head, TCP, how);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, TCP, how, now);
	n->a = BPF_CORE_READ((struct tcp_sock___bc *)sk, snd_cwnd);
	n->b = BPF_CORE_READ((struct tcp_sock___bc *)sk, srtt_us) >> 3; /* it is kept eightfold */
	give(n);
	return 0;
}

struct sock___queue {
	struct {
		struct {
			int counter;
		} rmem_alloc;
	} sk_backlog;
	int sk_rcvbuf;
} __attribute__((preserve_access_index));

struct sock___proto {
	u16 sk_type;
} __attribute__((preserve_access_index));

#define DATAGRAMS 2

/* The processor that receives a packet tells its socket's reader. A connection that a
 * process is busy with takes it later: then it is told with the TCP event only. */
SEC("tp_btf/sk_data_ready")
int BPF_PROG(socket_ready, void *sk)
{
	struct now *now;
	struct owner *o;
	struct life *l;
	struct note *n;
	u64 key = (u64)sk, head, id;
	u32 one = 1, *waits;

	if (idle())
		return 0;
	now = now_here();
	if (!now || !now->in_softirq || !now->id || now->told)
		return 0;
	head = now->head;
	l = life_of(head);
	if (!l || l->id != now->id)
		return 0;
	now->told = 1;
	id = go_on(l, head, SOCKET, 0);
	if (BPF_CORE_READ((struct sock___proto *)sk, sk_type) == DATAGRAMS) {
		waits = bpf_map_lookup_elem(&waiting, &key);
		if (waits)
			__sync_fetch_and_add(waits, 1);
		else
			bpf_map_update_elem(&waiting, &key, &one, BPF_ANY);
	}
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, SOCKET, 0, now);
	n->sock = key;
	n->net = net_of_socket(sk);
	n->a = BPF_CORE_READ((struct sock___queue *)sk, sk_backlog.rmem_alloc.counter);
	n->b = BPF_CORE_READ((struct sock___queue *)sk, sk_rcvbuf);
	n->stack = bpf_get_stackid(ctx, &stacks, 0);
	o = owner_of(sk);
	if (o)
		fill_owner(n, o);
	give(n);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(reader_woken, struct task_struct *t)
{
	struct now *now;
	struct woken w = {};
	struct note *n;
	u32 tid;

	if (idle())
		return 0;
	now = now_here();
	if (!now || !now->id || !now->wakes || !now->in_softirq || now->in_irq || (has_ready && !now->told))
		return 0;
	now->wakes--;
	tid = BPF_CORE_READ(t, pid);
	w.life = now->id;
	w.at = bpf_ktime_get_ns();
	if (!bpf_map_update_elem(&readers, &tid, &w, BPF_ANY)) {
		if (!waking)
			now->slices.switched = 0; /* nobody was looking until now */
		__sync_fetch_and_add(&waking, 1);
	}
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, w.life, WOKEN, 0, now);
	if (!has_ready)
		n->stack = bpf_get_stackid(ctx, &stacks, 0);
	n->tid = tid;
	n->tgid = BPF_CORE_READ(t, tgid);
	BPF_CORE_READ_INTO(&n->comm, t, comm);
	give(n);
	return 0;
}

/* a and the name at the device's place are of the other process. */
static __always_inline void reader_note(struct note *n, struct task_struct *reader, u32 other, const char *comm)
{
	n->tid = BPF_CORE_READ(reader, pid);
	n->tgid = BPF_CORE_READ(reader, tgid);
	BPF_CORE_READ_INTO(&n->comm, reader, comm);
	n->a = other;
	bpf_probe_read_kernel(n->device, sizeof(n->device), comm);
}

static __always_inline struct woken *awaited(struct task_struct *t, bool goes_on)
{
	u32 tid = BPF_CORE_READ(t, pid);
	struct woken *w = bpf_map_lookup_elem(&readers, &tid);

	if (!w)
		return NULL;
	if (goes_on && w->told++ < SWITCHES)
		return w;
	bpf_map_delete_elem(&readers, &tid); /* it sleeps: for something else */
	__sync_fetch_and_add(&waking, -1);
	return NULL;
}

static __always_inline int lose(struct task_struct *reader, struct task_struct *next, struct now *now)
{
	struct woken *w = awaited(reader, runnable(reader));
	struct note *n;
	u64 life;

	if (!w)
		return 0;
	life = w->life;
	w->at = bpf_ktime_get_ns(); /* it waits again */
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, life, OFF_CPU, 0, now);
	reader_note(n, reader, BPF_CORE_READ(next, tgid), (void *)next + bpf_core_field_offset(struct task_struct, comm));
	give(n);
	return 0;
}

static __always_inline int get(struct task_struct *reader, struct now *now)
{
	struct woken *w = awaited(reader, true);
	struct slice *s;
	struct note *n;
	u64 life;

	if (!w)
		return 0;
	life = w->life;
	s = longest(&now->slices, w->at, BPF_CORE_READ(reader, pid));
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, life, ON_CPU, 0, now);
	if (s)
		reader_note(n, reader, s->tgid, s->comm);
	else
		reader_note(n, reader, 0, NULL);
	give(n);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(reader_switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct now *now;

	if (!waking) /* the slice that begins now is not told whole */
		return 0;
	now = now_here();
	if (!now)
		return 0;
	keep_slice(&now->slices, prev, bpf_ktime_get_ns());
	lose(prev, next, now);
	return get(next, now);
}

/* The current thread has read. */
static __always_inline void has_read(void)
{
	u32 tid = bpf_get_current_pid_tgid();

	if (waking && !bpf_map_delete_elem(&readers, &tid))
		__sync_fetch_and_add(&waking, -1);
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(copied, void *packet, int length)
{
	struct sk_buff___bc *skb = packet;
	u64 head;
	struct life *l;
	struct now *now;
	struct sock___bc *sk;
	struct note *n;
	u64 id;

	if (idle())
		return 0;
	head = head_of(skb);
	l = life_of(head);
	now = now_here();
	if (!l || !now)
		return 0;
	sk = skb->sk;
	if (sk && sk->__sk_common.skc_family == AF_PACKET)
		return 0; /* somebody listens */
	has_read();
	id = go_on(l, head, COPIED, LIFE_ENDS);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, COPIED, LIFE_ENDS, now);
	n->a = length;
	give(n);
	return 0;
}

SEC("tp_btf/consume_skb")
int BPF_PROG(consumed, void *packet)
{
	struct sk_buff___bc *skb = packet;
	u64 head;
	struct life *l;
	struct now *now;
	u16 what = TAKEN;

	if (idle())
		return 0;
	head = head_of(skb);
	l = life_of(head);
	now = now_here();
	if (!l || !now)
		return 0;
	if (l->what == DRIVER)
		what = DONE;
	else if ((BPF_CORE_READ(shared(skb), dataref.counter) & DATAREF) > 1)
		return 0; /* a copy for somebody who listens */
	else if (l->what >= RECEIVED && in_process(now))
		what = COPIED;
	if (what == COPIED)
		has_read();
	return tell(l, head, what, LIFE_ENDS, now);
}

/* From 6.18 on a datagram that is read goes without consume_skb: the call that reads
 * tells its length, by which the packet is found. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(read_call, void *sk, int ret, int flags)
{
	struct now *now;
	u64 key = (u64)sk;
	u32 *waits;
	struct note *n;

	if (idle())
		return 0;
	now = now_here();
	waits = bpf_map_lookup_elem(&waiting, &key);
	if (!waits || !*waits || !now || ret < 0)
		return 0;
	__sync_fetch_and_add(waits, -1);
	has_read();
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, 0, READ, 0, now);
	n->sock = key;
	n->a = ret;
	give(n);
	return 0;
}

static __always_inline int dropped_at(void *packet, u64 where, u32 reason, struct sock___bc *to)
{
	struct sk_buff___bc *skb = packet;
	u64 head;
	struct life *l;
	struct now *now;
	struct owner *o;
	struct note *n;
	u64 id;

	if (idle())
		return 0;
	head = head_of(skb);
	l = life_of(head);
	now = now_here();
	if (!l || !now)
		return 0;
	id = go_on(l, head, DROPPED, LIFE_ENDS);
	n = reserve(struct note);
	if (!n)
		return lost();
	fill(n, id, DROPPED, LIFE_ENDS, now);
	n->where = where;
	n->a = reason;
	n->net = device_net(skb);
	if (!to)
		to = BPF_CORE_READ(skb, sk);
	o = to ? owner_of(to) : NULL;
	if (o)
		fill_owner(n, o);
	give(n);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped, void *packet, void *location)
{
	u64 reason = 0, to = 0;

	/* as numbers: what the tracepoint has depends on the kernel */
	if (drop_reason)
		bpf_probe_read_kernel(&reason, sizeof(reason), &ctx[2]);
	if (drop_socket)
		bpf_probe_read_kernel(&to, sizeof(to), &ctx[3]);
	return dropped_at(packet, (u64)location, reason, (struct sock___bc *)to);
}
