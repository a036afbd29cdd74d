/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The one reading of a frame. It fills struct fw_frame and gives R_RULE when
 * rules may look at it, or the reason why they may not.
 */
#ifndef BEARCAT_FW_PARSE_H
#define BEARCAT_FW_PARSE_H

#include "fw.h"

#define ETH_IP4 0x0800
#define ETH_ARP 0x0806
#define ETH_IP6 0x86dd

/*
 * The parts are functions that the kernel verifies each by itself; between them
 * stand f->off, where the next header begins, and f->left, how many bytes the
 * IP packet has from there on by its own account.
 */

/* Far beyond any header that is read, within what the verifier allows. */
#define MAX_OFFSET 0x3fff

static __always_inline u16 be16(const u8 *p)
{
	return (u16)p[0] << 8 | p[1];
}

static __always_inline u32 is_tag(u16 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

static __always_inline int parse_l4(struct fw_frame *f, void *data, void *end)
{
	u32 off = f->off, left = f->left, need = 0;
	u8 *p;

	if (f->frag == FRAG_LATER)
		return R_RULE;
	switch (f->proto) {
	case 6:
		need = 20;
		break;
	case 17:
	case 136:
		need = 8;
		break;
	case 33:
	case 132:
		need = 12;
		break;
	case 1:
		if (f->family == 4)
			need = 8;
		break;
	case 58:
		if (f->family == 6)
			need = 4;
		break;
	}
	if (!need)
		return R_RULE;
	if (off > MAX_OFFSET)
		return R_SHORT_L4;
	p = data + off;
	if (left < need || (need == 20 && (void *)(p + 20) > end) || (need == 12 && (void *)(p + 12) > end) ||
	    (need == 8 && (void *)(p + 8) > end) || (void *)(p + 4) > end)
		return f->frag == FRAG_FIRST ? R_TINY_FRAGMENT : R_SHORT_L4;
	if (need == 4 || (need == 8 && f->proto == 1)) {
		f->has_icmp = 1;
		f->icmp_type = p[0];
		f->icmp_code = p[1];
		return R_RULE;
	}
	f->has_ports = 1;
	f->sport = be16(p);
	f->dport = be16(p + 2);
	if (f->proto == 6) {
		u32 header;

		if ((void *)(p + 20) > end)
			return R_SHORT_L4;
		header = (p[12] >> 4) * 4;
		if (header < 20 || (header > left && f->frag == FRAG_NONE))
			return R_BAD_TCP;
		f->has_tcp = 1;
		f->tcp_flags = p[13];
	} else if (f->proto == 17) {
		u32 length;

		if ((void *)(p + 8) > end)
			return R_SHORT_L4;
		length = be16(p + 4);
		if (f->frag == FRAG_NONE && (length > left || (length < 8 && !(length == 0 && f->family == 6))))
			return R_BAD_UDP;
	}
	return R_RULE;
}

static __always_inline int parse_ip4(struct fw_frame *f, void *data, void *end, u32 off)
{
	u32 header, total, fragment;
	u8 *p = data + off;

	if ((void *)(p + 20) > end)
		return R_SHORT_IP4;
	header = (p[0] & 15) * 4;
	total = be16(p + 2);
	if (p[0] >> 4 != 4 || header < 20 || total < header)
		return R_BAD_IP4;
	if (off + total > f->length || off + header > f->length)
		return R_SHORT_IP4;
	f->family = 4;
	f->l3 = 1;
	__builtin_memcpy(f->saddr, p + 12, 4);
	__builtin_memcpy(f->daddr, p + 16, 4);
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

static __always_inline int parse_ip6(struct fw_frame *f, void *data, void *end, u32 off)
{
	u8 *p = data + off;
	u32 left;

	if ((void *)(p + 40) > end)
		return R_SHORT_IP6;
	if (p[0] >> 4 != 6)
		return R_BAD_IP6;
	left = be16(p + 4);
	if (off + 40 + left > f->length)
		return R_SHORT_IP6;
	f->family = 6;
	f->l3 = 1;
	__builtin_memcpy(f->saddr, p + 8, 16);
	__builtin_memcpy(f->daddr, p + 24, 16);
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

static __always_inline int parse(struct fw_frame *f, void *data, void *end)
{
	u8 *p = data;
	u32 off = 14;
	u16 type;

	if ((void *)(p + 14) > end)
		return R_SHORT_ETH;
	__builtin_memcpy(f->mac, p + 6, 6);
	type = be16(p + 12);
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
	if (type == ETH_IP4)
		return parse_ip4(f, data, end, off);
	if (type == ETH_IP6)
		return parse_ip6(f, data, end, off);
	return type == ETH_ARP ? R_ARP : R_UNPARSED;
}

#endif
