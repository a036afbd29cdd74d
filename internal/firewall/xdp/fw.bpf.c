//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The firewall. A frame is read once, then meets the block list, then the
 * rules in their order; a drop of a source on the allow list is taken back.
 *
 * Rules: each of source, destination, source port, destination port and
 * protocol leads to a row of bits, one bit a rule, set where the rule accepts
 * that value. Bits set in all five rows are candidates; the first whose other
 * conditions hold decides. A policy is the content of one slot of the outer
 * maps; a packet reads the slot's number once, so it sees one policy only.
 */
#include "parse.h"
#include "lists.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* for the generated Go types */
const struct fw_rule *type_rule __attribute__((unused));
const struct fw_log *type_log __attribute__((unused));

#define INNER 0x1000 /* BPF_F_INNER_MAP: inner arrays may differ in size */

struct row {
	u64 word[WORDS];
};
struct trie_block {
	u32 entry[256];
};
struct port_table {
	u32 row[65536];
};
#define OUTER(name, inner_type, key_t, value_t, flags)                                                       \
	struct inner_##name {                                                                                \
		__uint(type, inner_type);                                                                    \
		__uint(max_entries, 1);                                                                      \
		__uint(map_flags, flags);                                                                    \
		__uint(key_size, sizeof(key_t));                                                             \
		__uint(value_size, sizeof(value_t));                                                         \
	};                                                                                                   \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                                    \
		__uint(max_entries, 2);                                                                      \
		__type(key, u32);                                                                            \
		__type(value, u32);                                                                          \
		__array(values, struct inner_##name);                                                        \
	} name SEC(".maps")

OUTER(rows, BPF_MAP_TYPE_ARRAY, u32, struct row, INNER);
OUTER(rules, BPF_MAP_TYPE_ARRAY, u32, struct fw_rule, INNER);
OUTER(tries, BPF_MAP_TYPE_ARRAY, u32, struct trie_block, INNER);
OUTER(ports, BPF_MAP_TYPE_ARRAY, u32, struct port_table, INNER);
OUTER(source6, BPF_MAP_TYPE_LPM_TRIE, struct lpm6, u32, BPF_F_NO_PREALLOC);
OUTER(target6, BPF_MAP_TYPE_LPM_TRIE, struct lpm6, u32, BPF_F_NO_PREALLOC);

TABLE(configs, BPF_MAP_TYPE_ARRAY, 2, u32, struct fw_config, 0);
TABLE(block4, BPF_MAP_TYPE_HASH, 1048576, u32, struct fw_block, BPF_F_NO_PREALLOC);
TABLE(block6, BPF_MAP_TYPE_HASH, 1048576, struct addr6, struct fw_block, BPF_F_NO_PREALLOC);
/* a bit for each 24 bits of IPv4 that have something on the block list: most packets
 * are spared the look-ups in tables that do not fit into any cache */
TABLE(near4, BPF_MAP_TYPE_ARRAY, 262144, u32, u64, 0);
TABLE(blocknet4, BPF_MAP_TYPE_LPM_TRIE, 1048576, struct lpm4, struct fw_block, BPF_F_NO_PREALLOC);
TABLE(blocknet6, BPF_MAP_TYPE_LPM_TRIE, 1048576, struct lpm6, struct fw_block, BPF_F_NO_PREALLOC);
TABLE(reasons, BPF_MAP_TYPE_PERCPU_ARRAY, 2 * R_COUNT, u32, struct fw_count, 0);
TABLE(names, BPF_MAP_TYPE_ARRAY, COUNTERS, u32, struct fw_name, 0); /* of counters */
TABLE(frames, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct fw_frame, 0);

int fw_match(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, int(struct xdp_md *));
} again SEC(".maps") = {
	.values = { [0] = &fw_match },
};

/* Set where the kernel gives frames in several buffers. */
const volatile u8 has_frags;
/* Set where the kernel has a clock that steps with its ticks and costs little. */
const volatile u8 has_coarse;

/* Where a bit is, by the top of its product with a de Bruijn number. */
const u8 position[64] = {
	0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4,
	62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
	46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9, 13, 8, 7, 6,
};

static __always_inline u32 allowed(struct fw_frame *f, u64 blocks)
{
	return f->family == 4 ? allowed4(f->saddr, blocks) : allowed6(f->saddr, blocks);
}

/* The key of a ban of a frame's source. */
static __always_inline void source_key(struct fw_frame *f, struct addr6 *k)
{
	if (f->family == 4)
		map4(k, f->saddr);
	else
		__builtin_memcpy(k->addr, f->saddr, 16);
}

#define CAPTURE 256 /* bytes of a logged frame */

/* Says that a frame is dropped, at most as often as was asked for. A function of its
 * own, for the verifier and because it is rarely called. */
__noinline int log_drop(struct xdp_md *ctx)
{
	u32 zero = 0, captured;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_paid *paid = bpf_map_lookup_elem(&log_paid, &zero);
	struct fw_log r = { .kind = LOG_DROP };
	u64 now = bpf_ktime_get_boot_ns(), until, flags;

	if (!f || !c || !paid)
		return 0;
	until = paid->until > now ? paid->until : now;
	if (until - now > 64 * c->log_ns) {
		paid->unsaid++;
		return 0;
	}
	paid->until = until + c->log_ns;
	r.time = now;
	r.unsaid = paid->unsaid;
	paid->unsaid = 0;
	__builtin_memcpy(r.addr, f->saddr, 16);
	r.counter = f->reason == R_RULE ? f->rule : NOBODY;
	r.device = f->device;
	r.length = f->length;
	r.reason = f->reason;
	captured = f->length < CAPTURE ? f->length : CAPTURE;
	r.captured = captured;
	flags = (u64)captured << 32 | BPF_F_CURRENT_CPU;
	bpf_perf_event_output(ctx, &drops, flags, &r, sizeof(r));
	return 0;
}

/* Gives the verdict and counts it under its reason. */
static __always_inline int finish(struct xdp_md *ctx, struct fw_frame *f, struct fw_control *c, struct fw_config *config, u32 drop,
				  u32 reason)
{
	struct fw_count *n;
	u32 key;

	if (drop && f->l3 && reason < R_MALFORMED && allowed(f, c->blocks)) {
		drop = 0;
		reason = R_ALLOW;
	}
	if (drop && config->monitor) {
		drop = 0;
		key = reason;
		n = bpf_map_lookup_elem(&reasons, &key);
		if (n)
			n->over++;
		reason = R_MONITOR;
	}
	key = reason + (drop ? R_COUNT : 0);
	n = bpf_map_lookup_elem(&reasons, &key);
	if (n) {
		n->packets++;
		n->bytes += f->length;
	}
	if (!drop)
		return XDP_PASS;
	if (c->log_ns) {
		f->reason = reason;
		log_drop(ctx);
	}
	return XDP_DROP;
}

static __always_inline int near(u32 addr)
{
	u32 net = bpf_ntohl(addr) >> 8, key = net >> 6;
	u64 *word = bpf_map_lookup_elem(&near4, &key);

	return !word || *word >> (net & 63) & 1;
}

static __always_inline int banned(struct fw_control *c, struct addr6 *k)
{
	u32 table = c->marks & 1;
	struct marks *m = bpf_map_lookup_elem(&marks, &table);
	struct fw_ban *b;

	if (m && !m->at[mark_of(c->seed, k)])
		return 0;
	b = bpf_map_lookup_elem(&bans, k);
	if (!b || b->until <= bpf_ktime_get_boot_ns())
		return 0;
	b->hits++;
	return 1;
}

static __always_inline u32 blocked(struct fw_frame *f, struct fw_control *c)
{
	u64 blocks = c->blocks;
	struct fw_block *b = NULL;

	if (f->family == 4) {
		u32 addr;

		__builtin_memcpy(&addr, f->saddr, 4);
		if (blocks & (B_ADDR4 | B_NET4) && near(addr)) {
			if (blocks & B_ADDR4)
				b = bpf_map_lookup_elem(&block4, &addr);
			if (b && expired(b))
				b = NULL;
			if (!b && blocks & B_NET4) {
				struct lpm4 k = { .bits = 32 };

				__builtin_memcpy(k.addr, f->saddr, 4);
				b = bpf_map_lookup_elem(&blocknet4, &k);
			}
		}
	} else {
		if (blocks & B_ADDR6)
			b = bpf_map_lookup_elem(&block6, f->saddr);
		if (b && expired(b))
			b = NULL;
		if (!b && blocks & B_NET6) {
			struct lpm6 k = { .bits = 128 };

			__builtin_memcpy(k.addr, f->saddr, 16);
			b = bpf_map_lookup_elem(&blocknet6, &k);
		}
	}
	if (b && !expired(b)) {
		b->hits++;
		return R_BLOCK;
	}
	if (blocks & B_BAN) {
		struct addr6 k = {};

		source_key(f, &k);
		if (banned(c, &k))
			return R_BAN;
		if (f->family == 6 && blocks & B_BANNET) {
			widen(&k);
			if (banned(c, &k))
				return R_BAN;
		}
	}
	return 0;
}

/* The row of an IPv4 address: 16, 8 and 8 bits, a flat table each. */
static __always_inline u32 row4(void *trie, u8 *addr, u32 first)
{
	u32 key = first + addr[0], entry;
	struct trie_block *b = bpf_map_lookup_elem(trie, &key);

	if (!b)
		return 0;
	entry = b->entry[addr[1]];
	if (!(entry >> 31))
		return entry;
	key = entry & 0x7fffffff;
	b = bpf_map_lookup_elem(trie, &key);
	if (!b)
		return 0;
	entry = b->entry[addr[2]];
	if (!(entry >> 31))
		return entry;
	key = entry & 0x7fffffff;
	b = bpf_map_lookup_elem(trie, &key);
	return b ? b->entry[addr[3]] : 0;
}

static __always_inline u32 row6(void *table, u8 *addr, u32 any)
{
	struct lpm6 k = { .bits = 128 };
	u32 *row;

	__builtin_memcpy(k.addr, addr, 16);
	row = bpf_map_lookup_elem(table, &k);
	return row ? *row : any;
}

/* Finds the five rows of a frame. */
static __always_inline int find_rows(struct fw_frame *f, struct fw_config *c)
{
	u32 slot = f->slot;

	f->row[0] = f->family == 4 ? c->any4[0] : c->any6[0];
	f->row[1] = f->family == 4 ? c->any4[1] : c->any6[1];
	if (f->family == 4) {
		void *trie;

		if (c->prefixes[0] | c->prefixes[1]) {
			trie = bpf_map_lookup_elem(&tries, &slot);
			if (!trie)
				return 0;
			if (c->prefixes[0] & 1)
				f->row[0] = row4(trie, f->saddr, 0);
			if (c->prefixes[1] & 1)
				f->row[1] = row4(trie, f->daddr, 256);
		}
	} else {
		void *table;

		if (c->prefixes[0] & 2) {
			table = bpf_map_lookup_elem(&source6, &slot);
			if (!table)
				return 0;
			f->row[0] = row6(table, f->saddr, c->any6[0]);
		}
		if (c->prefixes[1] & 2) {
			table = bpf_map_lookup_elem(&target6, &slot);
			if (!table)
				return 0;
			f->row[1] = row6(table, f->daddr, c->any6[1]);
		}
	}
	f->row[2] = c->no_port[0];
	f->row[3] = c->no_port[1];
	if (f->has_ports && c->ports) {
		void *tables = bpf_map_lookup_elem(&ports, &slot);
		struct port_table *t;
		u32 key = 0;

		if (!tables)
			return 0;
		if (c->ports & 1) {
			t = bpf_map_lookup_elem(tables, &key);
			if (!t)
				return 0;
			f->row[2] = t->row[f->sport];
		}
		key = 1;
		if (c->ports & 2) {
			t = bpf_map_lookup_elem(tables, &key);
			if (!t)
				return 0;
			f->row[3] = t->row[f->dport];
		}
	}
	f->row[4] = c->protocols[f->proto];
	return 1;
}

/* The addresses and ports of a frame as look-ups of sockets take them. */
static __always_inline u32 tuple(struct fw_frame *f, struct bpf_sock_tuple *t)
{
	if (f->family == 4) {
		__builtin_memcpy(&t->ipv4.saddr, f->saddr, 4);
		__builtin_memcpy(&t->ipv4.daddr, f->daddr, 4);
		t->ipv4.sport = bpf_htons(f->sport);
		t->ipv4.dport = bpf_htons(f->dport);
		return sizeof(t->ipv4);
	}
	__builtin_memcpy(t->ipv6.saddr, f->saddr, 16);
	__builtin_memcpy(t->ipv6.daddr, f->daddr, 16);
	t->ipv6.sport = bpf_htons(f->sport);
	t->ipv6.dport = bpf_htons(f->dport);
	return sizeof(t->ipv6);
}

/* The state of the TCP socket that a frame is for, 0 where there is none. */
static __always_inline u32 tcp_state(struct xdp_md *ctx, struct fw_frame *f)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	u32 state;

	if (tuple(f, &t) == sizeof(t.ipv4))
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state;
}

/* Whether a UDP socket is connected to the frame's source. */
static __always_inline u32 udp_connected(struct xdp_md *ctx, struct fw_frame *f)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	u32 same;

	if (tuple(f, &t) == sizeof(t.ipv4)) {
		sk = bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		same = sk->dst_ip4 == t.ipv4.saddr;
	} else {
		sk = bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		same = sk->dst_ip6[0] == t.ipv6.saddr[0] && sk->dst_ip6[1] == t.ipv6.saddr[1] &&
		       sk->dst_ip6[2] == t.ipv6.saddr[2] && sk->dst_ip6[3] == t.ipv6.saddr[3];
	}
	/* four bytes, which kernels of every age let a program read */
	same = same && (*(volatile u32 *)((void *)sk + offsetof(struct bpf_sock, dst_port)) & 0xffff) ==
			       bpf_htons(f->sport);
	bpf_sk_release(sk);
	return same;
}

#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define TCP_NEW_SYN_RECV 12

/* Whether the frame belongs to a connection that this host agreed to: only
 * then is its source known not to be made up. */
static __always_inline int proven(struct xdp_md *ctx, struct fw_frame *f)
{
	return f->has_tcp && tcp_state(ctx, f) == TCP_ESTABLISHED;
}

/* Whether a socket of this host expects frames from that source: it has opened the
 * connection, or accepted it. A function of its own, for the verifier. */
__noinline int ask_sockets(struct xdp_md *ctx)
{
	u32 zero = 0, state, yes = 0;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);

	if (!f || !f->has_ports)
		return E_NO;
	if (f->has_tcp) {
		state = tcp_state(ctx, f);
		yes = state && state != TCP_CLOSE && state != TCP_LISTEN && state != TCP_NEW_SYN_RECV;
	} else if (f->proto == 17) {
		yes = udp_connected(ctx, f);
	}
	return yes ? E_YES : E_NO;
}

static __always_inline int established(struct xdp_md *ctx, struct fw_frame *f)
{
	if (f->known == E_NOT_ASKED)
		f->known = ask_sockets(ctx);
	return f->known == E_YES;
}

#define HOLDS(bit, known, cond)                                                                              \
	if (r->has & (bit)) {                                                                                \
		if (!(known) || !(cond) == !(r->not_ & (bit)))                                               \
			return 0;                                                                            \
	}
#define WITHIN(value, lo, hi) ((value) >= (lo) && (value) <= (hi))

static __always_inline int holds(struct xdp_md *ctx, struct fw_frame *f, struct fw_rule *r)
{
	if (!r->has)
		return 1;
	HOLDS(M_LENGTH, 1, WITHIN(f->length, r->length_lo, r->length_hi));
	HOLDS(M_TTL, 1, WITHIN(f->ttl, r->ttl_lo, r->ttl_hi));
	HOLDS(M_DSCP, 1, WITHIN(f->dscp, r->dscp_lo, r->dscp_hi));
	HOLDS(M_TCP, f->has_tcp, (f->tcp_flags & r->tcp_set) == r->tcp_set && !(f->tcp_flags & r->tcp_unset));
	HOLDS(M_ICMP_TYPE, f->has_icmp, WITHIN(f->icmp_type, r->icmp_type_lo, r->icmp_type_hi));
	HOLDS(M_ICMP_CODE, f->has_icmp, WITHIN(f->icmp_code, r->icmp_code_lo, r->icmp_code_hi));
	HOLDS(M_FRAGMENT, 1, r->fragments >> (f->frag & 3) & 1);
	HOLDS(M_VLAN, f->has_vlan, WITHIN(f->vlan, r->vlan_lo, r->vlan_hi));
	HOLDS(M_MAC, 1,
	      f->mac[0] == r->mac[0] && f->mac[1] == r->mac[1] && f->mac[2] == r->mac[2] && f->mac[3] == r->mac[3] &&
		      f->mac[4] == r->mac[4] && f->mac[5] == r->mac[5]);
	HOLDS(M_DEVICE, 1, f->device == r->device);
	HOLDS(M_ESTABLISHED, 1, established(ctx, f));
	return 1;
}

#define MANY_TICKS 1000000000ULL

/* Whether the source is over the rule's rate. A tick is at most a hundredth of a burst
 * that takes a second to earn, so such a rule needs no better clock. */
static __always_inline int over(struct fw_frame *f, struct fw_rule *r, u64 seed)
{
	u64 now = has_coarse && r->burst_ns >= MANY_TICKS ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
	u64 a, b;

	__builtin_memcpy(&a, f->saddr, 8);
	__builtin_memcpy(&b, f->saddr + 8, 8);
	return charge(seed, a, b, r->counter, r->cost_ns, r->burst_ns, now);
}

static __always_inline void ban(struct xdp_md *ctx, struct fw_frame *f, struct fw_rule *r, struct fw_control *c)
{
	struct addr6 k = {};

	if (allowed(f, c->blocks) || (!r->unproven && !proven(ctx, f)))
		return;
	source_key(f, &k);
	ban_source(ctx, c, &k, r->ban_ns, r->grow, r->counter);
}

/* What a rule that holds does: 0 to go on, 1 pass, 2 drop. */
static __always_inline int apply(struct xdp_md *ctx, struct fw_frame *f, struct fw_rule *r, struct fw_control *c,
				 u32 dry)
{
	u32 counter = r->counter, drops = r->action == A_DROP;
	struct fw_count *n = bpf_map_lookup_elem(&counters, &counter);

	if (n) {
		n->packets++;
		n->bytes += f->length;
	}
	f->rule = counter;
	if (r->action == A_LIMIT)
		drops = over(f, r, c->seed);
	if (drops) {
		if (n && (r->monitor || dry || r->action == A_LIMIT))
			n->over++;
		if (r->monitor)
			return 0;
		if (r->ban_ns && !dry)
			ban(ctx, f, r, c);
		return 2;
	}
	return r->action == A_PASS && !r->monitor;
}

/* The number of the lowest bit that is set: BPF has no instruction for it. */
static __always_inline u32 lowest(u64 bits)
{
	return position[(bits & -bits) * 0x03f79d71b4cb0a89ULL >> 58];
}

/* One candidate: 0 to go on, 1 pass, 2 drop. A function of its own, which the
 * verifier looks at once and not at each step. */
__noinline int consider(struct xdp_md *ctx, u32 rule)
{
	u32 zero = 0, slot;
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_config *config;
	struct fw_rule *r;
	void *list;

	if (!f || !c)
		return 2;
	slot = f->slot;
	config = bpf_map_lookup_elem(&configs, &slot);
	list = bpf_map_lookup_elem(&rules, &slot);
	if (!list || !config)
		return 2;
	r = bpf_map_lookup_elem(list, &rule);
	if (!r)
		return 2;
	return holds(ctx, f, r) ? apply(ctx, f, r, c, config->monitor) : 0;
}

struct five {
	struct row *of[5];
};

/* Looks the five rows up, but those of what no rule names: they have every bit, so
 * that of the protocol stands in for them. */
static __always_inline int load_rows(struct fw_frame *f, struct fw_config *config, struct five *r)
{
	u32 slot = f->slot;
	void *table = bpf_map_lookup_elem(&rows, &slot);
	struct row *p;

	if (!table)
		return 0;
	p = bpf_map_lookup_elem(table, &f->row[4]);
	if (!p)
		return 0;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		r->of[i] = p;
		if (config->named & 1 << i) {
			r->of[i] = bpf_map_lookup_elem(table, &f->row[i]);
			if (!r->of[i])
				return 0;
		}
	}
	r->of[4] = p;
	return 1;
}

#define CANDIDATES(r, w) ((r)->of[0]->word[w] & (r)->of[1]->word[w] & (r)->of[2]->word[w] & (r)->of[3]->word[w] & (r)->of[4]->word[w])

/* What the rules say: reason, and whether to drop. */
#define DECIDED(drop, reason) ((drop) << 8 | (reason))
#define ON 0xffff /* the matcher goes on */

/* Goes through the candidates, as many steps as fit into one program, then
 * calls itself for the rest. */
static __always_inline u32 match(struct xdp_md *ctx, struct fw_frame *f, struct fw_config *config)
{
	struct five r;

	if (!load_rows(f, config, &r))
		return DECIDED(1, R_ENGINE);
	for (int i = 0; i < STEPS; i++) {
		/* both are read from memory anew, so that each step looks the
		 * same to the verifier */
		u32 w = *(volatile u32 *)&f->word;
		u64 bits = *(volatile u64 *)&f->bits;
		u32 rule;
		int done;

		if (!bits) {
			if (w >= config->words || w >= WORDS)
				return DECIDED(config->default_action == A_DROP, R_DEFAULT);
			*(volatile u64 *)&f->bits = CANDIDATES(&r, w);
			*(volatile u32 *)&f->word = w + 1;
			continue;
		}
		*(volatile u64 *)&f->bits = bits & (bits - 1);
		rule = (w - 1) * 64 + lowest(bits);
		done = consider(ctx, rule);
		if (done)
			return DECIDED(done == 2, R_RULE);
	}
	return ON;
}

#define STRAIGHT 16 /* words that are looked at before anything is called */

/* The first candidate, without a call of the matcher: most frames have none or one. */
static __always_inline u32 match_first(struct xdp_md *ctx, struct fw_frame *f, struct fw_config *config)
{
	u32 w = 0, words = config->words, done;
	u64 bits = 0;

	if (config->direct) {
		bits = f->row[0] & f->row[1] & f->row[2] & f->row[3] & f->row[4];
		for (int i = 0; i < 5; i++)
			f->row[i] = 0; /* which is there, should the matcher be called */
		w = 1;
	} else {
		struct five r;

		if (!load_rows(f, config, &r))
			return DECIDED(1, R_ENGINE);
		for (int i = 0; i < STRAIGHT; i++) {
			if (i >= words)
				break;
			bits = CANDIDATES(&r, i);
			w = i + 1;
			if (bits)
				break;
		}
	}
	if (bits) {
		done = consider(ctx, (w - 1) * 64 + lowest(bits));
		if (done)
			return DECIDED(done == 2, R_RULE);
		bits &= bits - 1;
	}
	if (!bits && w >= words)
		return DECIDED(config->default_action == A_DROP, R_DEFAULT);
	f->word = w;
	f->bits = bits;
	return ON;
}

#define SETUP                                                                                                \
	u32 zero = 0, slot;                                                                                  \
	struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);                                            \
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);                                         \
	struct fw_config *config;                                                                            \
	if (!f || !c)                                                                                        \
		return XDP_PASS

SEC("xdp")
int fw_match(struct xdp_md *ctx)
{
	u32 said;

	SETUP;
	slot = f->slot;
	config = bpf_map_lookup_elem(&configs, &slot);
	if (!config)
		return XDP_PASS;
	said = match(ctx, f, config);
	if (said == ON) {
		bpf_tail_call(ctx, &again, 0);
		said = DECIDED(1, R_ENGINE);
	}
	return finish(ctx, f, c, config, said >> 8, said & 0xff);
}

#define READ(name, parse_part)                                                                               \
	__noinline int name(struct xdp_md *ctx)                                                              \
	{                                                                                                    \
		void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;                    \
		u32 zero = 0;                                                                                \
		struct fw_frame *f = bpf_map_lookup_elem(&frames, &zero);                                    \
                                                                                                             \
		return f ? parse_part : R_ENGINE;                                                            \
	}
READ(read_extension, parse_extension(f, data, end))

static __always_inline int read_frame(struct xdp_md *ctx, struct fw_frame *f)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	int reason = parse(f, data, end);

	if (reason != R_RULE)
		return reason;
	if (f->family == 6 && is_extension(f->proto)) {
		for (int i = 0; i < MAX_EXT && is_extension(f->proto) && f->frag != FRAG_LATER; i++) {
			reason = read_extension(ctx);
			if (reason != R_RULE)
				return reason;
		}
		if (is_extension(f->proto) && f->frag != FRAG_LATER)
			return R_MANY_EXT;
	}
	return parse_l4(f, data, end);
}

/* Everything but the matcher's further steps. */
static __always_inline u32 judge(struct xdp_md *ctx, struct fw_frame *f, struct fw_control *c, struct fw_config *config)
{
	u32 reason = read_frame(ctx, f), why;

	if (reason == R_ARP)
		return DECIDED(0, R_ARP);
	if (reason == R_UNPARSED)
		return DECIDED(config->unparsed == A_DROP, R_UNPARSED);
	if (f->l3 && c->blocks) {
		why = blocked(f, c);
		if (why)
			return DECIDED(1, why);
	}
	if (reason != R_RULE)
		return DECIDED(config->malformed == A_DROP, reason);
	/* neighbour discovery: without it IPv6 ends */
	if (f->has_icmp && f->family == 6 && WITHIN(f->icmp_type, 133, 137) && f->ttl == 255)
		return DECIDED(0, R_ND);
	if (!config->rules)
		return DECIDED(config->default_action == A_DROP, R_DEFAULT);
	if (!find_rows(f, config))
		return DECIDED(1, R_ENGINE);
	return match_first(ctx, f, config);
}

SEC("xdp")
int fw_entry(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 *now, said;

	SETUP;
	now = bpf_map_lookup_elem(&active, &zero);
	if (!now)
		return XDP_PASS;
	slot = *(volatile u32 *)now & 1;
	config = bpf_map_lookup_elem(&configs, &slot);
	if (!config)
		return XDP_PASS;
	__builtin_memset(f, 0, sizeof(*f));
	f->slot = slot;
	f->device = ctx->ingress_ifindex;
	f->length = has_frags ? bpf_xdp_get_buff_len(ctx) : end - data;
	said = judge(ctx, f, c, config);
	if (said == ON) {
		bpf_tail_call(ctx, &again, 0);
		said = DECIDED(1, R_ENGINE);
	}
	return finish(ctx, f, c, config, said >> 8, said & 0xff);
}
