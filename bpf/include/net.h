/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is read of the kernel's packets, devices and sockets, on every kernel. */
#ifndef BEARCAT_NET_H
#define BEARCAT_NET_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define NO_HEADER 0xffff

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common___bc {
	unsigned int inum;
};

struct net___bc {
	struct ns_common___bc ns;
};

typedef struct {
	struct net___bc *net;
} possible_net_t___bc;

struct net_device___bc {
	char name[16];
	int ifindex;
	possible_net_t___bc nd_net;
};

struct sock_common___bc {
	possible_net_t___bc skc_net;
	u16 skc_num;
	u16 skc_family;
	unsigned char skc_state;
};

struct socket___bc {
	struct file *file;
};

struct sock___bc {
	struct sock_common___bc __sk_common;
	struct socket___bc *sk_socket;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct sk_buff___bc {
	struct net_device___bc *dev;
	struct sock___bc *sk;
	u16 protocol;
	u16 transport_header;
	u16 network_header;
	u16 queue_mapping;
	unsigned char *head;
	unsigned char *data;
	unsigned int len;
	unsigned int data_len;
	unsigned int end; /* behind head, as sk_buff_data_t is on 64 bits */
};

#pragma clang attribute pop

static __always_inline u32 net_of_device(struct net_device___bc *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, ns.inum);
}

/* The same of a device that the verifier knows for one: a load, where the other needs calls. */
static __always_inline u32 net_of_known_device(struct net_device___bc *dev)
{
	return dev->nd_net.net->ns.inum;
}

static __always_inline u32 net_of_socket(struct sock___bc *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* Copies up to n bytes of a device's name. */
static __always_inline void name_of_device(char *to, u32 n, struct net_device___bc *dev)
{
	bpf_probe_read_kernel_str(to, n, (void *)dev + bpf_core_field_offset(struct net_device___bc, name));
}

#endif
