/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The one reading of a frame. It fills struct fw_frame and gives R_RULE when
 * rules may look at it, or the reason why they may not.
 */
#ifndef BEARCAT_FW_PARSE_H
#define BEARCAT_FW_PARSE_H

#include "tables.h"

#define ETH_IP4 0x0800
#define ETH_ARP 0x0806
#define ETH_IP6 0x86dd
#define ETH_PPPOE 0x8864

/*
 * The parts are functions that the kernel verifies each by itself; between them
 * stand f->off, where the next header begins, and f->left, how many bytes the
 * IP packet has from there on by its own account.
 */

/* Far beyond any header that is read, within what the verifier allows. */
#define MAX_OFFSET 0x3fff

static __always_inline u16 be16(const void *p)
{
	return bpf_ntohs(*(const u16 *)p);
}

/* Two and four bytes at once, of packets, which the kernel aligns for IP. */
static __always_inline void copy4(void *to, const void *from)
{
	*(u32 *)to = *(const u32 *)from;
}

static __always_inline void copy16(void *to, const void *from)
{
	copy4(to, from);
	copy4(to + 4, from + 4);
	copy4(to + 8, from + 8);
	copy4(to + 12, from + 12);
}

static __always_inline u32 is_tag(u16 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* Whether a frame has fewer bytes than that. f->length is at first that of its first
 * buffer; the kernel is only asked for the others where the packet goes beyond. */
static __always_inline int shorter(struct hook_ctx *ctx, struct fw_frame *f, u32 than)
{
	if (than <= f->length)
		return 0;
	if (!has_frags)
		return 1;
	f->length = whole_length(ctx);
	return than > f->length;
}

static __always_inline int short_l4(struct fw_frame *f)
{
	return f->frag == FRAG_FIRST ? R_TINY_FRAGMENT : R_SHORT_L4;
}

static __always_inline void ports_of(struct fw_frame *f, u8 *p)
{
	f->has_ports = 1;
	f->sport = be16(p);
	f->dport = be16(p + 2);
}

static __always_inline int parse_tcp(struct fw_frame *f, u8 *p, void *end, u32 left)
{
	u32 header;

	if (left < 20 || (void *)(p + 20) > end)
		return short_l4(f);
	ports_of(f, p);
	header = (p[12] >> 4) * 4;
	if (header < 20 || (header > left && f->frag == FRAG_NONE))
		return R_BAD_TCP;
	f->has_tcp = 1;
	f->tcp_flags = p[13];
	return R_RULE;
}

static __always_inline int parse_udp(struct fw_frame *f, u8 *p, void *end, u32 left)
{
	u32 length;

	if (left < 8 || (void *)(p + 8) > end)
		return short_l4(f);
	ports_of(f, p);
	length = be16(p + 4);
	if (f->frag == FRAG_NONE && (length > left || (length < 8 && !(length == 0 && f->family == 6))))
		return R_BAD_UDP;
	return R_RULE;
}

static __always_inline u32 is_icmp(struct fw_frame *f)
{
	return f->proto == (f->family == 4 ? 1 : 58);
}

/* How many bytes of its header a protocol other than TCP and UDP must have. */
static __always_inline u32 need_of(struct fw_frame *f)
{
	if (is_icmp(f))
		return f->family == 4 ? 8 : 4;
	if (f->proto == 136)
		return 8;
	return f->proto == 33 || f->proto == 132 ? 12 : 0;
}

static __always_inline int parse_other(struct fw_frame *f, u8 *p, void *end, u32 left)
{
	u32 need = need_of(f);

	if (!need)
		return R_RULE;
	if (left < need || (need == 12 && (void *)(p + 12) > end) || (need == 8 && (void *)(p + 8) > end) ||
	    (void *)(p + 4) > end)
		return short_l4(f);
	if (!is_icmp(f)) {
		ports_of(f, p);
		return R_RULE;
	}
	f->has_icmp = 1;
	f->icmp_type = p[0];
	f->icmp_code = p[1];
	return R_RULE;
}

static __always_inline int parse_l4(struct fw_frame *f, void *data, void *end)
{
	u32 off = f->off, left = f->left;
	u8 *p;

	if (f->frag == FRAG_LATER)
		return R_RULE;
	if (off > MAX_OFFSET)
		return f->proto == 6 || f->proto == 17 || need_of(f) ? R_SHORT_L4 : R_RULE;
	p = data + off;
	if (f->proto == 6)
		return parse_tcp(f, p, end, left);
	if (f->proto == 17)
		return parse_udp(f, p, end, left);
	return parse_other(f, p, end, left);
}

/* As far as the frame goes: no PPPoE header says otherwise. */
#define ALL 0xffffffff

/* room is where what the packet lies in ends. */
static __always_inline int parse_ip4(struct hook_ctx *ctx, struct fw_frame *f, void *data, void *end, u32 off, u32 room)
{
	u32 header, total, fragment;
	u8 *p = data + off;

	if (off + 20 > room || (void *)(p + 20) > end)
		return R_SHORT_IP4;
	header = (p[0] & 15) * 4;
	total = be16(p + 2);
	if (!total && unsegmented(ctx))
		total = f->length - off;
	if (p[0] >> 4 != 4 || header < 20 || total < header)
		return R_BAD_IP4;
	if (off + total > room || shorter(ctx, f, off + total))
		return R_SHORT_IP4;
	f->family = 4;
	f->l3 = 1;
	copy4(f->saddr, p + 12);
	copy4(f->daddr, p + 16);
	f->dscp = p[1] >> 2;
	f->ttl = p[8];
	f->proto = p[9];
	fragment = be16(p + 6);
	if (fragment & 0x1fff)
		f->frag = FRAG_LATER;
	else if (fragment & 0x2000)
		f->frag = FRAG_FIRST;
	/* a later fragment that would overwrite the TCP flags (RFC 3128) */
	if ((fragment & 0x1fff) == 1 && f->proto == 6)
		return R_TINY_FRAGMENT;
	f->off = off + header;
	f->left = total - header;
	return R_RULE;
}

static __always_inline u32 is_extension(u8 next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60 || next == 135 || next == 139 ||
	       next == 140;
}

static __always_inline int parse_ip6(struct hook_ctx *ctx, struct fw_frame *f, void *data, void *end, u32 off, u32 room)
{
	u8 *p = data + off;
	u32 left;

	if (off + 40 > room || (void *)(p + 40) > end)
		return R_SHORT_IP6;
	if (p[0] >> 4 != 6)
		return R_BAD_IP6;
	left = be16(p + 4);
	if (!left && unsegmented(ctx))
		left = f->length - off - 40;
	if (off + 40 + left > room || shorter(ctx, f, off + 40 + left))
		return R_SHORT_IP6;
	f->family = 6;
	f->l3 = 1;
	copy16(f->saddr, p + 8);
	copy16(f->daddr, p + 24);
	f->dscp = be16(p) >> 6 & 63;
	f->ttl = p[7];
	f->proto = p[6];
	f->off = off + 40;
	f->left = left;
	return R_RULE;
}

/* Goes over one extension header. */
static __always_inline int parse_extension(struct fw_frame *f, void *data, void *end)
{
	u32 off = f->off, left = f->left, size;
	u8 *p;

	if (off > MAX_OFFSET)
		return R_SHORT_EXT;
	p = data + off;
	if (left < 8 || (void *)(p + 8) > end)
		return R_SHORT_EXT;
	size = f->proto == 51 ? (p[1] + 2) * 4 : (p[1] + 1) * 8;
	if (f->proto == 44) {
		u32 fragment = be16(p + 2);

		size = 8;
		if (fragment & 0xfff8)
			f->frag = FRAG_LATER;
		else if (fragment & 1)
			f->frag = FRAG_FIRST;
		if (fragment >> 3 == 1 && p[0] == 6)
			return R_TINY_FRAGMENT;
	}
	if (size > left)
		return R_SHORT_EXT;
	f->proto = p[0];
	f->off = off + size;
	f->left = left - size;
	return R_RULE;
}

#define PPP_IP4 0x21
#define PPP_IP6 0x57

/*
 * What a PPPoE session carries, as an Ethernet type, 0 where the frame is cut off. Its
 * version and code are not looked at, since receivers do not either.
 */
static __always_inline u16 parse_pppoe(struct hook_ctx *ctx, struct fw_frame *f, void *data, void *end, u32 *off, u32 *room)
{
	u8 *p = data + *off;
	u32 length, protocol;

	if ((void *)(p + 8) > end)
		return 0;
	length = be16(p + 4);
	if (length < 2 || shorter(ctx, f, *off + 6 + length))
		return 0;
	*room = *off + 6 + length;
	protocol = p[6];
	*off += 7;
	if (!(protocol & 1)) { /* the short form is odd */
		protocol = protocol << 8 | p[7];
		*off += 1;
	}
	if (protocol == PPP_IP4)
		return ETH_IP4;
	return protocol == PPP_IP6 ? ETH_IP6 : ETH_PPPOE;
}

static __always_inline int parse(struct hook_ctx *ctx, struct fw_frame *f, void *data, void *end)
{
	u8 *p = data;
	u32 off = 14, room = ALL;
	u16 type;

	if ((void *)(p + 14) > end)
		return R_SHORT_ETH;
	type = be16(p + 12);
	if (type == ETH_IP4)
		return parse_ip4(ctx, f, data, end, off, ALL);
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		if (!is_tag(type))
			break;
		p = data + off;
		if ((void *)(p + 4) > end)
			return R_SHORT_TAG;
		if (!f->has_vlan) {
			f->has_vlan = 1;
			f->vlan = be16(p) & 0xfff;
		}
		type = be16(p + 2);
		off += 4;
	}
	if (is_tag(type))
		return R_MANY_TAGS;
	if (type == ETH_PPPOE) {
		type = parse_pppoe(ctx, f, data, end, &off, &room);
		if (!type)
			return R_SHORT_PPPOE;
	}
	if (type == ETH_IP4)
		return parse_ip4(ctx, f, data, end, off, room);
	if (type == ETH_IP6)
		return parse_ip6(ctx, f, data, end, off, room);
	if (has_frags)
		f->length = whole_length(ctx);
	return type == ETH_ARP ? R_ARP : R_UNPARSED;
}

#endif
