/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the firewall's program and its loader share. internal/firewall/compile
 * writes these structures, internal/firewall/model says what they mean.
 */
#ifndef BEARCAT_FW_H
#define BEARCAT_FW_H

#define BPF_NO_PRESERVE_ACCESS_INDEX
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define WORDS 160 /* of a row: 10,240 rules */
#define MAX_RULES (64 * WORDS)
#define HEAD_WORDS 16 /* of a row that stand in the table of heads too */
#define HEADS 4096
#define MAX_TAGS 4
#define MAX_EXT 8
#define STEPS 256 /* of the matcher in one program */
#define BUCKETS 65536
#define MARKS 262144 /* bytes: room for all bans with most of them unset, in the second cache */
#define COUNTERS 20480 /* of the rules of two policies */
#define GUARDS 64
#define SCANS 16384
#define SCAN_COUNT 20 /* ports, or addresses, make a scan */
#define R_REFUSED 255 /* of a scan: no socket waited */
#define NOBODY 0xffffffff /* in place of a counter: a command, or no rule */

/* Why a frame had its verdict; the names are in internal/firewall/reason.go. */
enum reason {
	R_DEFAULT,
	R_RULE,
	R_ALLOW,
	R_BLOCK,
	R_BAN,
	R_ARP,
	R_ND,
	R_UNPARSED,
	R_MONITOR,
	R_ENGINE,
	R_SHORT_ETH, /* the malformed ones begin here */
	R_SHORT_TAG,
	R_MANY_TAGS,
	R_SHORT_IP4,
	R_BAD_IP4,
	R_SHORT_IP6,
	R_BAD_IP6,
	R_SHORT_EXT,
	R_MANY_EXT,
	R_TINY_FRAGMENT,
	R_SHORT_L4,
	R_BAD_TCP,
	R_BAD_UDP,
	R_SHORT_PPPOE,
	R_COUNT,
};
#define R_MALFORMED R_SHORT_ETH

enum action { A_PASS, A_DROP, A_COUNT, A_LIMIT };

/* Conditions that are looked at rule by rule; the others are in the rows. */
enum {
	M_LENGTH = 1,
	M_TTL = 2,
	M_DSCP = 4,
	M_TCP = 8,
	M_ICMP_TYPE = 16,
	M_ICMP_CODE = 32,
	M_FRAGMENT = 64,
	M_VLAN = 128,
	M_MAC = 256,
	M_DEVICE = 512,
	M_ESTABLISHED = 1024,
	M_PAYLOAD = 2048,
};

enum { FRAG_NONE, FRAG_FIRST, FRAG_LATER };

enum { E_NOT_ASKED, E_NO, E_YES };

struct fw_rule {
	u64 cost;     /* limit: what a packet, or a byte, adds, in 1/1024 ns */
	u64 burst_ns; /* limit: how far a source, or a flow, may be ahead */
	u64 ban_ns;   /* ban the source for this long when the rule drops */
	u32 counter;
	u32 device;
	u16 has;
	u16 not_;
	u16 length_lo, length_hi;
	u16 vlan_lo, vlan_hi;
	u8 ttl_lo, ttl_hi;
	u8 dscp_lo, dscp_hi;
	u8 tcp_set, tcp_unset;
	u8 icmp_type_lo, icmp_type_hi;
	u8 icmp_code_lo, icmp_code_hi;
	u8 fragments; /* bits by FRAG_ */
	u8 action;
	u8 monitor;
	u8 unproven; /* ban without a connection as proof */
	u8 mac[6];
	u8 grow; /* each ban of a source is twice as long as the one before */
	u8 plain; /* no condition but the rows, and nothing but pass or drop to do */
	u8 by_bytes;
	u8 flow;
	u8 pad[2];
};

#define PAYLOAD_WORDS 4
#define PAYLOAD_BYTES (8 * PAYLOAD_WORDS)

/* What a rule with M_PAYLOAD looks for: the words are compared under the masks. */
struct fw_payload {
	u64 want[PAYLOAD_WORDS];
	u64 mask[PAYLOAD_WORDS];
	u16 offset;
	u16 length;
	u32 pad;
};

/* One range of ports of a guard. */
struct fw_guard {
	u64 cost_ns; /* what a connection adds */
	u64 burst_ns;
	u64 ban_ns;
	u32 counter;
	u16 port_lo, port_hi;
	u8 grow;
	u8 pad[7];
};

struct fw_guards {
	u32 count;
	u32 pad;
	struct fw_guard guard[GUARDS];
};

/* One policy: the heads of the tables in one slot. */
struct fw_config {
	u32 rules;
	u32 words;
	u32 any4[2], any6[2]; /* rows of addresses that no prefix covers */
	u32 no_port[2];	      /* rows of frames without ports */
	u32 prefixes[2];      /* nonzero where a v4 (1) or v6 (2) rule names prefixes */
	u32 ports;	      /* nonzero where a rule names ports: 1 source, 2 destination */
	u32 named;	      /* bits of the rows that rules tell apart: source 1, destination 2, ports 4 and 8 */
	u32 direct;	      /* few rules: in place of a row's number stand its bits */
	u32 headed;	      /* the rows are in the table of heads as well */
	u32 lengths;	      /* some rule is about the length of frames, or counts bytes */
	u32 protocols[2][256]; /* rows, of what comes in and of what goes out */
	u8 default_action;
	u8 malformed;
	u8 unparsed;
	u8 monitor;
	u8 default_out;
	u8 pad[3];
};

/* What holds over all policies. */
struct fw_control {
	u64 seed;
	u64 blocks; /* which kinds of entries were ever added: see B_ */
	u64 log_ns; /* of a processor's time for one logged drop; 0: nobody reads the log */
	u32 marks;  /* which of the two tables of marks is read */
	u32 scans;  /* the seconds within which ports and addresses are counted; 0: nobody asks */
};

enum { B_ADDR4 = 1, B_NET4 = 2, B_ADDR6 = 4, B_NET6 = 8, B_ALLOW4 = 16, B_ALLOW6 = 32, B_BAN = 64, B_BANNET = 128 };

struct fw_block {
	u64 until; /* on the boot clock, 0 for ever */
	u64 hits;
};

/* As fw_block, and how it came about. */
struct fw_ban {
	u64 until;
	u64 hits;
	u32 strikes; /* how often it was banned before, one after the other */
	u32 by;	     /* the counter of the rule or guard, or NOBODY */
};

enum { LOG_DROP, LOG_BAN, LOG_SCAN };

/* One record of the log; a drop's has the head of the frame behind it. Of a scan, strikes are
 * ports and length are addresses. */
struct fw_log {
	u64 time; /* on the boot clock */
	u64 ban_ns;
	u64 unsaid; /* drops of this processor that had no room in the rate since the last */
	u8 addr[16];
	u32 counter;
	u32 device;
	u32 length;
	u32 captured;
	u32 strikes;
	u8 kind;
	u8 reason;
	u8 out; /* it was to leave */
	u8 pad;
};

/* What one source tried: a bit for each hash of a port and of an address, so there were
 * at least as many as bits. Sources that share a place push each other out: nobody is
 * told of for what another did. */
struct fw_scan {
	u32 source; /* the other half of the hash */
	u32 since;  /* seconds */
	u64 ports, targets;
	u16 port_count, target_count;
	u8 told;
	u8 pad[3];
};

struct fw_paid {
	u64 until;
	u64 unsaid;
};

struct fw_name {
	u8 name[64];
};

struct fw_count {
	u64 packets;
	u64 bytes;
	u64 over; /* limited, or would have been dropped but for monitor */
};

struct fw_frame {
	u8 saddr[16]; /* IPv4 in the first four */
	u8 daddr[16];
	u32 length;
	u32 device;
	u8 mac[6];
	u16 vlan;
	u16 sport, dport;
	u8 has_vlan;
	u8 has_ports;
	u8 family; /* 4 or 6 */
	u8 proto;
	u8 has_tcp, tcp_flags;
	u8 has_icmp, icmp_type, icmp_code;
	u8 ttl, dscp, frag;
	u8 l3; /* addresses are known */
	u8 reason;
	u8 known; /* whether a socket waits for it: see E_ */
	u8 pad;
	u32 rule; /* the counter of the rule that decided */
	u32 pad2;
	u32 off, left;
	/* where the matcher is, over tail calls */
	u32 slot;
	u32 word;
	u32 row[5];
	u64 bits;
};

#endif
