/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the programs know and tell of packets.
 *
 * A packet is known by where its buffer is (skb->head): clones, as TCP sends, share it,
 * and it stays the same from the sender's queue through loopback and veth to the
 * receiver's socket. A life begins where a packet is seen first and the filter takes it,
 * and ends where it is read, done, or dropped.
 */
#ifndef BEARCAT_PACKET_H
#define BEARCAT_PACKET_H

#include "filter.h"
#include "notes.h"
#include "owner.h"
#include "rate.h"
#include "slices.h"

#define LIVES 8192
#define THREADS 16384
#define STACKS 2048
#define DEPTH 48
#define GRO_SLOTS 64
#define WAKES 4 /* as many readers are followed for one packet */
#define SWITCHES 16 /* of a reader are told for one packet */

/* What happens to a packet, in about the order in which it does. */
enum what {
	SEND_QUEUED = 1, /* to the device's queue: net_dev_queue */
	QDISC_IN,
	QDISC_OUT,
	DRIVER,	     /* handed to the device's driver */
	DRIVER_BACK, /* the driver came back */
	RECV_QUEUED, /* to a processor's backlog: netif_rx */
	GRO,	     /* to be merged with others */
	RECEIVED,    /* to the protocols: netif_receive_skb */
	TCP,	     /* to a TCP connection */
	SOCKET,	     /* in the socket's queue, and its reader told */
	WOKEN,
	ON_CPU,
	OFF_CPU, /* before it has read */
	COPIED, /* to the reader; the end */
	READ,	/* a call that reads ended; told by socket and not by packet */
	SENT,	/* the call that sends ended */
	DONE,	/* the device has sent it; the end */
	TAKEN,	/* by the kernel itself; the end */
	DROPPED, /* the end */
};

enum how {
	LIFE_BEGINS = 1,
	LIFE_ENDS = 2,
	LIFE_SENT = 4,	  /* begins with sending */
	IN_PROCESS = 8,	  /* the process is the one that caused it */
	CHOSEN = 16,	  /* the process is one that is asked for */
};

struct note {
	u64 at; /* ns since boot */
	u64 life;
	u64 where; /* in the kernel: what dropped it */
	u64 sock;  /* of READ and SOCKET: which */
	u16 what;
	u16 how;
	u32 cpu;
	u32 tgid;
	u32 tid;
	u32 a, b; /* what they are depends on the event */
	s32 stack;
	u32 net;
	char comm[16];
	char device[16]; /* or the kind of queue */
};

/* How a packet came to where it is seen first. */
struct birth {
	struct note note;
	u64 call_at; /* a system call that sends */
	u64 route_at;
	u64 neighbour_at;
	u64 irq_at;
	u64 raised_at;
	u64 softirq_at;
	u64 gro_at;
	u32 call;
	u32 fd;
	u32 route_table;
	s32 route_error;
	u32 gateway;
	u32 neighbour;
	u32 irq;
	u32 length;
	u16 family;
	u16 segments; /* of one large packet; 0 for no more than itself */
	u16 has;      /* so many of the bytes */
	u16 pad;
	char route_device[16];
	u8 bytes[BYTES]; /* from the network header on */
};

struct life {
	u64 id;
	u64 seen; /* when */
	u32 what; /* the last of the order above */
	u32 pad;
};

/* A call that sends, while it goes on, at its thread's place: threads whose numbers have the
 * same place are seldom in such calls at once, and then the later one counts. */
struct call {
	u64 at; /* 0 where there is none */
	u64 route_at;
	u64 neighbour_at;
	u64 life; /* the last packet that it sent */
	u32 tid;
	u32 nr;
	u32 fd;
	u32 route_table;
	s32 route_error;
	u32 gateway;
	u32 neighbour;
	char route_device[16];
	u32 pad;
};

struct gro {
	u64 head;
	u64 at;
};

/* What a processor is doing. */
struct now {
	u64 irq_at;
	u64 raised_at, raised_by_at;
	u64 softirq_at, softirq_raised_at, softirq_irq_at;
	u32 irq, raised_by, softirq_irq;
	u32 in_irq, in_softirq;
	u64 head, id; /* the packet that it is receiving; id is 0 where it is none of ours */
	u32 wakes;    /* so many more readers may be told of */
	u32 told;     /* its socket was */
	u64 driver, driver_id;
	u64 lives; /* that began here */
	struct gro gro[GRO_SLOTS];
	struct slices slices; /* while readers are awaited */
	u64 left[GRO_SLOTS]; /* packets that were left out: they do not begin further on */
};

struct totals {
	u64 lives;
	u64 full;    /* lives left out: no room */
	u64 begun, ended; /* lives in the map that came, and that went */
};

/* A thread that is to read a packet. */
struct woken {
	u64 life;
	u64 at;
	u32 told; /* so often: it may lose its processor again and again */
	u32 pad;
};

const volatile u8 has_ready = 0; /* 6.3 brought sk_data_ready */
const volatile u8 directed = 0; /* the filter asks whether a packet comes in or goes out */
const volatile u8 drop_reason = 0;
const volatile u8 drop_socket = 0;

u64 forgotten; /* lives that the reader of notes took away: nobody else writes it */
u32 waking; /* so many threads are to read, about: the reader of notes counts anew */
struct totals total;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIVES);
	__type(key, u64);
	__type(value, struct life);
} lives SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, THREADS);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, u32);
	__type(value, struct woken);
} readers SEC(".maps");

/* Datagrams of ours that wait in sockets, by socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LIVES);
	__type(key, u64);
	__type(value, u32);
} waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct now);
} nows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct header);
} headers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, STACKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, DEPTH * sizeof(u64));
} stacks SEC(".maps");

static __always_inline struct now *now_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&nows, &zero);
}

/* Whether no packet is followed now: then nothing that is seen of others matters. */
static __always_inline bool idle(void)
{
	return total.begun == total.ended + forgotten;
}

/* The place of the current thread's call. */
static __always_inline struct call *call_place(u32 *tid)
{
	u32 slot;

	*tid = bpf_get_current_pid_tgid();
	slot = *tid % THREADS;
	return bpf_map_lookup_elem(&calls, &slot);
}

/* The call that the current thread is in; NULL for none that sends. */
static __always_inline struct call *call_here(void)
{
	u32 tid;
	struct call *c = call_place(&tid);

	return c && c->at && c->tid == tid ? c : NULL;
}

/* Whether the current process is asked for. */
static __attribute__((noinline)) int current_chosen(void)
{
	return chosen((struct task_struct *)bpf_get_current_task());
}

static __always_inline bool in_process(struct now *n)
{
	return !n->in_irq && !n->in_softirq;
}

#endif
