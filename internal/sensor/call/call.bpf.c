//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * System calls on their return, each described by an entry of a table: which
 * arguments are paths, descriptors, addresses. One program serves them all,
 * where the kernel offers nothing narrower than the tracepoint of all calls;
 * what is not asked for leaves it after one look into the table.
 */
#include "core_fixes.h"
#include "call.h"
#include "connect.h"
#include "openpath.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Ports of name servers. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u16);
	__type(value, u8);
} dns_ports SEC(".maps");

/* Processes that have connected to a name server: the only ones whose read and
 * write calls are looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u8);
} dns_users SEC(".maps");

struct bc_dest {
	u64 sk;
	u8 addr[16];
	u32 port;
	u32 ino; /* of the socket, whose memory may be used again */
};

/* Destinations that a socket has sent a datagram to. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct bc_dest);
	__type(value, u8);
} sent SEC(".maps");

/* The kernel takes 32 bits of an option or a command, whatever the register
 * holds above them. */
static __always_inline bool bc_prctl_wanted(u32 option)
{
	switch (option) {
	case 4:          /* PR_SET_DUMPABLE */
	case 8:          /* PR_SET_KEEPCAPS */
	case 22:         /* PR_SET_SECCOMP */
	case 24:         /* PR_CAPBSET_DROP */
	case 28:         /* PR_SET_SECUREBITS */
	case 35:         /* PR_SET_MM */
	case 36:         /* PR_SET_CHILD_SUBREAPER */
	case 38:         /* PR_SET_NO_NEW_PRIVS */
	case 47:         /* PR_CAP_AMBIENT */
	case 0x59616d61: /* PR_SET_PTRACER */
		return true;
	}
	return false;
}

/* Requests that take hold of a process or change it. */
static __always_inline bool bc_ptrace_wanted(u64 request)
{
	switch (request) {
	case 0:      /* TRACEME */
	case 4:      /* POKETEXT */
	case 5:      /* POKEDATA */
	case 6:      /* POKEUSR */
	case 13:     /* SETREGS */
	case 15:     /* SETFPREGS */
	case 16:     /* ATTACH */
	case 0x4205: /* SETREGSET */
	case 0x4206: /* SEIZE */
		return true;
	}
	return false;
}

/* Commands that load, attach, detach or pin. */
static __always_inline bool bc_bpf_wanted(u32 cmd)
{
	switch (cmd) {
	case 5:  /* PROG_LOAD */
	case 6:  /* OBJ_PIN */
	case 8:  /* PROG_ATTACH */
	case 9:  /* PROG_DETACH */
	case 17: /* RAW_TRACEPOINT_OPEN */
	case 28: /* LINK_CREATE */
	case 29: /* LINK_UPDATE */
	case 34: /* LINK_DETACH */
		return true;
	}
	return false;
}

static __always_inline bool bc_wanted(struct bc_desc *d, struct bc_call *r, struct bc_settings *set)
{
	u64 *a = r->args;

	switch (d->filter) {
	case BC_F_FCNTL: /* F_DUPFD, F_DUPFD_CLOEXEC */
		if ((u32)a[1] != 0 && (u32)a[1] != 1030)
			return false;
		/* fall through */
	case BC_F_DUP:
		return !set->dup_stdio || r->ret <= 2;
	case BC_F_SOCKET: {
		u32 family = a[0], kind = (u32)a[1] & 0xf; /* SOCK_TYPE_MASK */

		return family >= 64 || set->sockets[family & 63] >> kind & 1;
	}
	case BC_F_ACCEPT:
		return !set->accept_relay || bc_is_relay(0);
	case BC_F_IOCTL: /* FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, TIOCSTI */
		return (u32)a[1] == 0x40086602 || (u32)a[1] == 0x401c5820 || (u32)a[1] == 0x5412;
	case BC_F_PRCTL:
		return bc_prctl_wanted(a[0]);
	case BC_F_MMAP: /* executable, and writable or backed by no file */
		return (a[2] & 4) && ((a[2] & 2) || (a[3] & 0x20));
	case BC_F_MPROTECT:
		return a[2] & 4;
	case BC_F_KILL: { /* not among a process's own threads, nor a mere look */
		u32 tgid = bpf_get_current_pid_tgid() >> 32;

		return a[d->aux & 3] != 0 && (u32)a[0] != tgid;
	}
	case BC_F_SIGNAL:
		return a[d->aux & 3] != 0;
	case BC_F_PTRACE:
		return bc_ptrace_wanted(a[0]);
	case BC_F_BPF:
		return bc_bpf_wanted(a[0]);
	}
	return true;
}

/* The family, port and address that follow each other in a socket address. */
struct bc_addr {
	u16 family;
	u16 port;
	u8 addr[16];
};

static __always_inline void bc_read_addr(struct bc_addr *o, u64 at)
{
	u8 raw[24] = {};

	__builtin_memset(o, 0, sizeof(*o));
	if (!at || bpf_probe_read_user(raw, 16, (void *)at))
		return;
	o->family = *(u16 *)raw;
	if (o->family == AF_INET) {
		o->port = bpf_ntohs(*(u16 *)&raw[2]);
		__builtin_memcpy(o->addr, &raw[4], 4);
	} else if (o->family == AF_INET6) {
		o->port = bpf_ntohs(*(u16 *)&raw[2]);
		bpf_probe_read_user(o->addr, 16, (void *)(at + 8));
	}
}

static __always_inline bool bc_dns_port(u16 port)
{
	return bpf_map_lookup_elem(&dns_ports, &port) != NULL;
}

struct bc_msghdr {
	u64 name;
	u32 namelen;
	u32 pad;
	u64 iov;
	u64 iovlen;
	u64 control;
	u64 controllen;
	u64 flags;
};

struct bc_mmsghdr {
	struct bc_msghdr msg;
	u32 len;
	u32 pad;
};

#define MMSGS 4
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3

static __always_inline void bc_read_iov(struct bc_scratch *s, u64 iov)
{
	u64 v[2] = {};

	if (iov && !bpf_probe_read_user(v, sizeof(v), (void *)iov)) {
		s->w.msg = v[0];
		s->w.msg_len = v[1];
	}
}

static __always_inline void bc_read_msghdr(struct bc_scratch *s, u64 at)
{
	struct bc_msghdr h = {};

	if (bpf_probe_read_user(&h, sizeof(h), (void *)at))
		return;
	s->w.addr = h.name;
	s->w.addr_len = h.namelen;
	s->w.control = h.control;
	s->w.control_len = h.controllen;
	bc_read_iov(s, h.iov);
}

static __always_inline bool bc_net_in(u32 net)
{
	return net >= BC_NET_RECVFROM;
}

/* Finds the n-th message of a send or receive; 0 where there is none. */
__noinline int bc_get_msg(u32 slot, u32 net, u32 n)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_call *r;
	struct bc_addr to;
	u32 len = 0;
	u64 at, max;

	if (!s)
		return 0;
	r = (struct bc_call *)s->data;
	s->w.msg = s->w.msg_len = s->w.addr = s->w.addr_len = s->w.control = s->w.control_len = 0;
	max = r->ret;
	switch (net) {
	case BC_NET_SENDTO:
	case BC_NET_RECVFROM:
		s->w.addr = r->args[4];
		s->w.addr_len = 28;
		/* fall through */
	case BC_NET_READ:
	case BC_NET_WRITE:
		s->w.msg = r->args[1];
		s->w.msg_len = r->ret;
		break;
	case BC_NET_READV:
	case BC_NET_WRITEV:
		bc_read_iov(s, r->args[1]);
		break;
	case BC_NET_SENDMSG:
	case BC_NET_RECVMSG:
		bc_read_msghdr(s, r->args[1]);
		break;
	case BC_NET_SENDMMSG:
	case BC_NET_RECVMMSG:
		if (n >= (u64)r->ret)
			return 0;
		at = r->args[1] + n * sizeof(struct bc_mmsghdr);
		bc_read_msghdr(s, at);
		bpf_probe_read_user(&len, sizeof(len), (void *)(at + sizeof(struct bc_msghdr)));
		max = len;
		n = 0;
		break;
	default:
		return 0;
	}
	if (s->w.msg_len > max)
		s->w.msg_len = max;
	bc_read_addr(&to, s->w.addr);
	s->w.port = to.port;
	return n == 0;
}

/* SCM_RIGHTS: the socket and the first of the descriptors that were sent. */
__noinline int bc_pass_fds(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_call *r;
	struct {
		u64 len;
		u32 level, type;
		s32 fd;
		u32 pad;
	} c = {};

	if (!s || s->w.control_len < 20 || bpf_probe_read_user(&c, 20, (void *)s->w.control))
		return 0;
	if (c.level != 1 || c.type != 1 || c.len < 20)
		return 0;
	r = (struct bc_call *)s->data;
	r->op = BC_OP_PASSFD;
	r->args[2] = (c.len - 16) / 4;
	s->w.off = sizeof(*r);
	bc_put_fd(slot, r->args[0], 0);
	bc_put_fd(slot, c.fd, 1);
	bc_call_send(s, BC_STREAM_CALL_BULK);
	return 0;
}

/* Whether the socket has not sent to the message's destination before. */
__noinline int bc_first_send(u32 slot, u64 sk)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_dest dest = {};
	struct bc_addr to;
	u8 one = 1;
	u64 f;

	if (!s)
		return 0;
	bc_read_addr(&to, s->w.addr);
	f = s->w.file; /* not within BPF_CORE_READ, which would relocate it */
	dest.ino = BPF_CORE_READ((struct file *)f, f_inode, i_ino);
	dest.sk = sk;
	dest.port = s->w.port;
	__builtin_memcpy(dest.addr, to.addr, 16);
	if (bpf_map_lookup_elem(&sent, &dest))
		return 0;
	bpf_map_update_elem(&sent, &dest, &one, BPF_ANY);
	return 1;
}

/* One message: DNS, the first to a destination, descriptors, or nothing. */
__noinline int bc_on_msg(u32 slot, u32 net, u32 n)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_settings *set = bc_get_settings();
	struct bc_call *r;
	struct sock *sk;
	u32 type, addr_len;
	u64 so;

	if (!s || !set || !bc_get_msg(slot, net, n))
		return 0;
	r = (struct bc_call *)s->data;
	so = s->w.file; /* not within BPF_CORE_READ, which would relocate it */
	so = (u64)BPF_CORE_READ((struct file *)so, private_data);
	sk = BPF_CORE_READ((struct socket *)so, sk);
	s->w.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	type = BPF_CORE_READ((struct socket *)so, type);
	if (s->w.family == AF_UNIX) {
		if (set->passfd && net == BC_NET_SENDMSG && s->w.control)
			bc_pass_fds(slot);
		return 1;
	}
	if (s->w.family != AF_INET && s->w.family != AF_INET6)
		return 1;
	if (!s->w.port)
		s->w.port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	addr_len = s->w.family == AF_INET ? 16 : 28;
	s->w.off = sizeof(*r);
	if (set->dns && s->w.msg_len && bc_dns_port(s->w.port)) {
		r->op = BC_OP_DNS;
		r->flags &= BC_CALL_COMPAT;
		if (bc_net_in(net))
			r->flags |= BC_CALL_IN;
		if (type == SOCK_STREAM)
			r->flags |= BC_CALL_STREAM;
		bc_put_file(slot, 0);
		bc_put_bytes(slot, s->w.addr, addr_len, BC_SEC_ADDR);
		bc_put_bytes(slot, s->w.msg, s->w.msg_len > 65535 ? 65535 : s->w.msg_len, BC_SEC_DATA);
		bc_call_send(s, BC_STREAM_CALL_BULK);
		return 1;
	}
	/* write and writev are looked at for DNS only */
	if (!set->send || net > BC_NET_SENDMMSG || (type != SOCK_DGRAM && type != SOCK_RAW))
		return 1;
	if (!bc_first_send(slot, (u64)sk))
		return 1;
	r->op = BC_OP_CALL;
	bc_put_file(slot, 0);
	bc_put_bytes(slot, s->w.addr, addr_len, BC_SEC_ADDR);
	bc_call_send(s, BC_STREAM_CALL_BULK);
	return 1;
}

/* Sends and receives. Only what is a socket and carries something of interest
 * becomes a record. */
static __always_inline void bc_on_net(u32 slot, struct bc_scratch *s, struct bc_desc *d, struct bc_call *r)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	bool plain = d->net == BC_NET_READ || d->net == BC_NET_READV || d->net == BC_NET_WRITE ||
		     d->net == BC_NET_WRITEV;
	u64 f;

	if (r->ret <= 0)
		return;
	if (plain && !bpf_map_lookup_elem(&dns_users, &tgid))
		return;
	f = bc_file_at(s->w.task, r->args[0]);
	if (!f || (BPF_CORE_READ((struct file *)f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return;
	s->w.fdnum = r->args[0];
	s->w.file = f;
	for (u32 i = 0; i < MMSGS; i++)
		if (!bc_on_msg(slot, d->net, i))
			break;
}

/* The instructions of a program that is loaded: which helpers it calls. */
#define INSNS_CHUNK 64
#define INSNS_CHUNKS 64
#define SEEN_WORDS 4 /* of bits for the helpers that were seen */

struct bc_insn {
	u8 code;
	u8 regs;
	s16 off;
	s32 imm;
};

/* Looks through the next instructions, from w.uaddr on, of the w.ulen that are
 * left. Where it stands is kept in scratch, not given as arguments: the caller's
 * loop is then the same in each round, and the verifier is soon done with it.
 * Returns 0 at the end, or where the memory cannot be read. */
__noinline int bc_scan_chunk(u32 slot)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_insn *in;
	struct bc_insns *o;
	u32 at, k, n;
	u64 *seen;

	if (!s)
		return 0;
	at = s->w.root_at & (BC_BUF - 1);
	bc_opaque(at);
	at &= BC_BUF - 1;
	o = (struct bc_insns *)&s->data[at];
	in = (struct bc_insn *)&s->data[BC_BUF];
	seen = (u64 *)&s->data[BC_BUF + INSNS_CHUNK * sizeof(*in)];
	n = s->w.ulen;
	if (n > INSNS_CHUNK)
		n = INSNS_CHUNK;
	if (bpf_probe_read_user(in, n * sizeof(*in), (void *)s->w.uaddr))
		return 0;
	for (u32 i = 0; i < INSNS_CHUNK; i++) {
		if (i >= n)
			break;
		/* a call of a helper, not of a function of the program or the kernel */
		if (in[i].code != 0x85 || in[i].regs >> 4 != 0)
			continue;
		k = in[i].imm;
		if (k < 64 * SEEN_WORDS) {
			u64 bit = 1ull << (k & 63);
			u64 *word = &seen[k >> 6 & (SEEN_WORDS - 1)];

			if (*word & bit)
				continue;
			*word |= bit;
		}
		if (o->helpers < BC_HELPERS_MAX)
			o->helper[o->helpers & (BC_HELPERS_MAX - 1)] = k;
		o->helpers++;
	}
	o->looked += n;
	s->w.uaddr += n * sizeof(*in);
	s->w.ulen -= n;
	return s->w.ulen != 0;
}

__noinline int bc_put_insns(u32 slot, u64 addr, u32 count)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_insns *o;
	u32 at, off;

	if (!s || !bc_sec_room(s))
		return 0;
	at = bc_sec_begin(s, BC_SEC_INSNS, 0);
	off = s->w.off & (BC_BUF - 1);
	s->w.off = off + sizeof(*o);
	bc_opaque(off);
	off &= BC_BUF - 1;
	o = (struct bc_insns *)&s->data[off];
	__builtin_memset(o, 0, sizeof(*o));
	o->count = count;
	s->w.root_at = off;
	s->w.uaddr = addr;
	s->w.ulen = count;
	__builtin_memset(&s->data[BC_BUF + INSNS_CHUNK * sizeof(struct bc_insn)], 0, SEEN_WORDS * sizeof(u64));
	for (int i = 0; i < INSNS_CHUNKS; i++)
		if (!bc_scan_chunk(slot))
			break;
	bc_sec_end(s, at, s->w.ulen ? BC_SEC_CUT : 0);
	return 0;
}

static __always_inline void bc_bpf_parts(u32 slot, struct bc_call *r)
{
	u64 attr = r->args[1];
	u32 head[4] = {};
	u64 ptr[1] = {};
	u8 first = 0;

	bc_put_bytes(slot, attr, r->args[2] > 256 ? 256 : r->args[2], BC_SEC_DATA);
	if (bpf_probe_read_user(head, sizeof(head), (void *)attr))
		return;
	if ((u32)r->args[0] == 5) { /* PROG_LOAD: prog_type, insn_cnt, insns */
		bpf_probe_read_user(ptr, 8, (void *)(attr + 8));
		bc_put_insns(slot, ptr[0], head[1]);
	} else if ((u32)r->args[0] == 6) { /* OBJ_PIN: pathname */
		bpf_probe_read_user(ptr, 8, (void *)attr);
		bc_put_text(slot, ptr[0], 0);
		bpf_probe_read_user(&first, 1, (void *)ptr[0]);
		if (first != '/')
			bc_put_base(slot, AT_FDCWD, 0);
	}
}

/* Describes the call in scratch by its entry of the table. */
__noinline int bc_describe(u32 slot, u32 nr)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_desc *d = bpf_map_lookup_elem(&calls, &nr);
	struct bc_call *r;
	u64 a;
	s32 fds[2];

	if (!s || !d)
		return 0;
	r = (struct bc_call *)s->data;
	for (u32 i = 0; i < 2; i++) {
		u8 first = 0;

		if (d->path[i] == NO_ARG)
			continue;
		a = bc_arg(r, d->path[i]);
		bc_put_text(slot, a, i);
		if (bpf_probe_read_user(&first, 1, (void *)a) || first != '/')
			bc_put_base(slot, d->dirfd[i] == NO_ARG ? AT_FDCWD : (s32)bc_arg(r, d->dirfd[i]), i);
		else if (bc_chrooted(s->w.task))
			bc_put_base(slot, BC_AT_ROOT, i);
	}
	if (d->text[0] != NO_ARG)
		bc_put_text(slot, bc_arg(r, d->text[0]), 2);
	if (d->text[1] != NO_ARG)
		bc_put_text(slot, bc_arg(r, d->text[1]), 3);
	if (d->flags & BC_D_FDS) {
		if (r->ret == 0 && !bpf_probe_read_user(fds, sizeof(fds), (void *)bc_arg(r, d->fd[0]))) {
			bc_put_fd(slot, fds[0], 0);
			bc_put_fd(slot, fds[1], 1);
		}
		return 0;
	}
	if (d->flags & BC_D_RETFD && r->ret >= 0) {
		bc_put_fd(slot, r->ret, 0);
		if (d->fd[0] != NO_ARG)
			bc_put_fd(slot, bc_arg(r, d->fd[0]), 1);
	} else if (d->fd[0] != NO_ARG) {
		bc_put_fd(slot, bc_arg(r, d->fd[0]), 0);
	}
	if (d->fd[1] != NO_ARG)
		bc_put_fd(slot, bc_arg(r, d->fd[1]), 1);
	if (d->addr != NO_ARG)
		bc_put_bytes(slot, bc_arg(r, d->addr), bc_arg(r, d->addrlen) > 128 ? 128 : bc_arg(r, d->addrlen),
			     BC_SEC_ADDR);
	if (d->flags & BC_D_CRED)
		bc_put_cred(slot);
	return 0;
}

/* The part of open(2)'s flags that tells what it is for. */
static __always_inline u64 bc_open_flags(struct bc_desc *d, struct bc_call *r, bool fill)
{
	u64 how[2] = {};

	if (d->how == NO_ARG)
		return d->aux == NO_ARG ? 01101 : bc_arg(r, d->aux);
	bpf_probe_read_user(how, sizeof(how), (void *)bc_arg(r, d->how));
	if (fill) {
		r->args[2] = how[0];
		r->args[3] = how[1];
	}
	return how[0];
}

static __always_inline void bc_note_dns_user(struct bc_call *r, struct bc_desc *d)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct bc_addr to;
	u8 one = 1;

	bc_read_addr(&to, bc_arg(r, d->addr));
	if (to.port && bc_dns_port(to.port))
		bpf_map_update_elem(&dns_users, &tgid, &one, BPF_ANY);
}

/* What processes did last, to find repeats. */
struct bc_repeat {
	u64 what;
	u32 tgid;
	u32 nr;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct bc_repeat);
	__type(value, u64);
} repeats SEC(".maps");

#define SECOND 1000000000ull

#define HASHED 512 /* bytes of a path */

/* A number that is the same for the same path. */
static __always_inline u64 bc_path_hash(struct bc_scratch *s, u64 addr)
{
	u64 *part = (u64 *)&s->data[BC_BUF];
	u64 sum = 0;

	__builtin_memset(part, 0, HASHED);
	bpf_probe_read_user_str(part, HASHED, (void *)addr);
	for (int i = 0; i < HASHED / 8; i++)
		sum = (sum ^ part[i]) * 0x9e3779b97f4a7c15ull;
	return sum;
}

/* Whether a call of the bulk class is left out at the level that is set. */
__noinline int bc_left_out(u32 slot, u32 nr, u32 level)
{
	struct bc_scratch *s = bpf_map_lookup_elem(&scratch, &slot);
	struct bc_desc *d = bpf_map_lookup_elem(&calls, &nr);
	struct bc_repeat key = {};
	struct bc_call *r;
	u64 now, *last, f;

	if (!s || !d)
		return 0;
	r = (struct bc_call *)s->data;
	if (d->filter == BC_F_OPEN && r->ret >= 0) {
		if (!(bc_open_flags(d, r, false) & (3 | 0100 | 01000)))
			return 1;
		f = bc_file_at(s->w.task, r->ret);
		key.what = (u64)BPF_CORE_READ((struct file *)f, f_inode);
	} else if (d->path[0] != NO_ARG) {
		key.what = bc_path_hash(s, bc_arg(r, d->path[0])) ^ (u64)r->ret << 8;
	} else {
		key.what = r->args[0] ^ r->args[1] << 16 ^ r->args[2] << 32 ^ (u64)r->ret << 8;
	}
	if (level < BC_LEVEL_REPEATS)
		return 0;
	if (level >= BC_LEVEL_SAMPLE && bpf_get_prandom_u32() & 15)
		return 1;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.nr = nr;
	now = bpf_ktime_get_ns();
	last = bpf_map_lookup_elem(&repeats, &key);
	if (last && now - *last < SECOND)
		return 1;
	bpf_map_update_elem(&repeats, &key, &now, BPF_ANY);
	return 0;
}

/* The mark of bc_mine, for calls: a task makes one after the other, so that each has
 * one place, which costs a tenth of an entry in the table of marks. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE); /* the loader makes it a hash where there are no copies */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} call_marks SEC(".maps");

/* Whether this copy is to handle the task's call that token tells from the one before.
 * Only the first copy makes a task's place: where it could not, or was not free, all
 * of them use the table. */
static __always_inline bool bc_mine_call(u64 token)
{
	u64 *seen, bit = 1ull << (copy & 7), old;

	if (copies == 1)
		return true;
	seen = bpf_task_storage_get(&call_marks, bpf_get_current_task_btf(), 0,
				    copy == 0 ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (!seen)
		return bc_mine((u32)bpf_get_current_pid_tgid(), BC_STREAM_CALL, token);
	token = token * 0x9e3779b97f4a7c15ull & ~0xffull;
	old = *seen;
	if (copy > 0 && (old & ~0xffull) == token && !(old & bit)) {
		*seen = copy == copies - 1 ? 0 : old | bit;
		return false;
	}
	*seen = copy == copies - 1 ? 0 : token | ((bit << 1) - 1);
	return true;
}

/* For each number whether some call of it is wanted. At sys_exit the kernel calls
 * this program after every call of every process: most of them end at this byte. */
u8 wanted[CALLS] SEC(".data.wanted");

static __always_inline u32 bc_task_status(void)
{
	if (fix_has_task_btf())
		return bpf_get_current_task_btf()->thread_info.status;
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.status);
}

/* A call that is over: regs are those it was made with. */
static __always_inline int bc_call_over(struct pt_regs *regs, long ret)
{
	u32 slot = first_slot + bpf_get_smp_processor_id();
	u32 nr = regs->orig_ax & ~X32_BIT;
	struct bc_settings *set;
	struct bc_counter *c;
	struct bc_scratch *s;
	struct bc_desc *d;
	struct bc_call *r;
	bool compat = false;
	u64 task, id;

	if (nr >= CALLS)
		return 0;
	bc_opaque(nr);
	if (!wanted[nr & (CALLS - 1)])
		return 0;
	if (!bc_mine_call(regs->orig_ax ^ (u64)ret ^ regs->di << 8 ^ regs->si << 16 ^ regs->dx << 24))
		return 0;
	task = bpf_get_current_task();
	if (bc_task_status() & TS_COMPAT) {
		compat = true;
		nr += CALLS;
	} else if (regs->orig_ax & X32_BIT) {
		compat = true;
	}
	d = bpf_map_lookup_elem(&calls, &nr);
	if (!d || !(d->flags & BC_D_WANTED) || !d->stream)
		return 0;
	if (ret < 0 && d->flags & BC_D_SUCCESS)
		return 0;
	c = bc_count(d->stream);
	s = bpf_map_lookup_elem(&scratch, &slot);
	set = bc_get_settings();
	if (!c || !s || !set)
		return 0;
	c->runs++;
	id = bpf_get_current_pid_tgid();
	if (!bc_current_in_scope(task) ||
	    ((u32)(id >> 32) == set->own && d->stream == BC_STREAM_CALL_BULK)) {
		c->filtered++;
		return 0;
	}
	r = (struct bc_call *)s->data;
	r->nr = nr;
	r->flags = compat ? BC_CALL_COMPAT : 0;
	r->ret = ret;
	if (nr >= CALLS) {
		r->args[0] = (u32)regs->bx;
		r->args[1] = (u32)regs->cx;
		r->args[2] = (u32)regs->dx;
		r->args[3] = (u32)regs->si;
		r->args[4] = (u32)regs->di;
		r->args[5] = (u32)regs->bp;
	} else {
		r->args[0] = regs->di;
		r->args[1] = regs->si;
		r->args[2] = regs->dx;
		r->args[3] = regs->r10;
		r->args[4] = regs->r8;
		r->args[5] = regs->r9;
	}
	if (d->filter == BC_F_CONNECT && set->dns)
		bc_note_dns_user(r, d);
	if (d->filter != BC_F_NET) {
		if (!(d->flags & BC_D_REPORT) || !bc_wanted(d, r, set) ||
		    (d->filter == BC_F_OPEN && !bc_open_wanted(r, bc_open_flags(d, r, false)))) {
			c->filtered++;
			return 0;
		}
	}
	s->w.task = task;
	if (d->filter == BC_F_CONNECT && set->connects && !bc_connect_wanted(slot)) {
		c->filtered++;
		return 0;
	}
	if (d->filter == BC_F_OPEN && set->paths) {
		u32 kind = bc_open_kind(r, bc_open_flags(d, r, false));

		if (set->paths & kind && !bc_open_path(slot, nr, kind) &&
		    !(set->open & BC_OPEN_RELAY && ret >= 0 && bc_file_is_relay(s->w.file))) {
			c->filtered++;
			return 0;
		}
	}
	if (set->level && d->stream == BC_STREAM_CALL_BULK && d->filter != BC_F_NET && bc_left_out(slot, nr, set->level)) {
		c->filtered++;
		return 0;
	}
	if (d->filter == BC_F_NET) {
		bc_call_fill(s, r, task);
		bc_on_net(slot, s, d, r);
		return 0;
	}
	bc_call_fill(s, r, task);
	bc_describe(slot, nr);
	if (d->filter == BC_F_OPEN && d->how != NO_ARG)
		bc_open_flags(d, r, true);
	if (d->filter == BC_F_BPF)
		bc_bpf_parts(slot, r);
	bc_call_send(s, d->stream);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(bc_on_call, struct pt_regs *regs, long ret)
{
	return bc_call_over(regs, ret);
}

/* Whether the function that asks the filters of a process returns true for a call
 * that may be made (since 7.3), or -1 for one that may not. */
const volatile u32 permits = 0;

#define COOKIE_REFUSED 1

/*
 * The same on the return of the calls' own functions, for kernels that attach one
 * program to many of them: then calls that nobody wants cost nothing. A call that the
 * process's seccomp filter refuses never gets to its function: there it is the
 * filter's answer, and what the caller will see is in the registers. One program
 * serves both, for another one could run in the midst of it and over its memory. The
 * section is no name that loaders know; narrow.go gives the program its type.
 */
SEC("fexit.multi/calls")
int bc_on_return(u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u64 ret;

	if (bpf_get_func_ret(ctx, &ret))
		return 0;
	if (bpf_get_attach_cookie(ctx) == COOKIE_REFUSED) {
		if (permits ? (u8)ret != 0 : (s32)ret != -1)
			return 0;
		ret = regs->ax;
	}
	return bc_call_over(regs, ret);
}

/* Who holds a TCP socket, since when: known where the process itself is at
 * work (connect, listen), for states that change in an interrupt. */
struct bc_owner {
	struct bc_key key;
	u64 since;
	u32 tid;
	u32 uid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct bc_owner);
} owners SEC(".maps");

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10

struct bc_tcp_rec {
	struct bc_call call;
	struct bc_sec sec;
	struct bc_fd fd;
};

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(bc_on_tcp, const struct sock *sk, int old, int new)
{
	struct bc_counter *c = bc_count(BC_STREAM_TCP);
	struct bc_owner *own, fresh = {};
	struct bc_tcp_rec r;
	struct bc_sock *o = &r.fd.sock;
	u64 key = (u64)sk, task;
	u32 tgid;

	if (!c || BPF_CORE_READ(sk, sk_protocol) != 6)
		return 0;
	c->runs++;
	if (new == TCP_SYN_SENT || new == TCP_LISTEN) {
		task = bpf_get_current_task();
		if (!bc_current_in_scope(task)) {
			c->filtered++;
			return 0;
		}
		fresh.key.pid = bpf_get_current_pid_tgid() >> 32;
		fresh.tid = bpf_get_current_pid_tgid();
		fresh.key.start = BPF_CORE_READ((struct task_struct *)task, group_leader, start_boottime);
		fresh.uid = BPF_CORE_READ((struct task_struct *)task, cred, uid.val);
		fresh.since = bpf_ktime_get_boot_ns();
		bpf_map_update_elem(&owners, &key, &fresh, BPF_ANY);
	}
	own = bpf_map_lookup_elem(&owners, &key);
	/* The connect tells of the beginning, with a port that is not set yet. */
	if (!own || new == TCP_SYN_SENT) {
		c->filtered++;
		return 0;
	}
	tgid = own->key.pid;
	if (!bc_mine(tgid, BC_STREAM_TCP, own->since ^ (u64)old << 8 ^ (u64)new))
		return 0;
	__builtin_memset(&r, 0, sizeof(r));
	r.call.key = own->key;
	r.call.op = BC_OP_TCP;
	r.call.args[0] = old;
	r.call.args[1] = new;
	r.call.uid = r.call.euid = own->uid;
	if (new == TCP_CLOSE) {
		r.call.args[2] = BPF_CORE_READ((struct tcp_sock *)sk, bytes_sent);
		r.call.args[3] = BPF_CORE_READ((struct tcp_sock *)sk, bytes_received);
		r.call.args[4] = bpf_ktime_get_boot_ns() - own->since;
	}
	r.sec.tag = BC_SEC_FD;
	r.sec.len = sizeof(r.fd);
	r.fd.num = -1;
	r.fd.open = 1;
	r.fd.file.mode = S_IFSOCK;
	o->type = SOCK_STREAM;
	o->proto = 6;
	o->state = new;
	o->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	/* not skc_num, which is 0 again when the socket is closed */
	o->lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	o->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (o->family == AF_INET) {
		bpf_core_read(o->laddr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(o->raddr, 4, &sk->__sk_common.skc_daddr);
	} else if (bpf_core_field_exists(sk->__sk_common.skc_v6_rcv_saddr)) {
		bpf_core_read(o->laddr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(o->raddr, 16, &sk->__sk_common.skc_v6_daddr);
	}
	bc_header(&r.call.hdr, c, BC_CALL, BC_STREAM_TCP, own->tid);
	bc_send_bulk(c, &r, sizeof(r));
	if (new == TCP_CLOSE)
		bpf_map_delete_elem(&owners, &key);
	return 0;
}

struct bc_module_rec {
	struct bc_call call;
	struct bc_sec sec;
	u8 name[56];
};

SEC("tp_btf/module_load")
int BPF_PROG(bc_on_module, struct module *mod)
{
	struct bc_counter *c = bc_count(BC_STREAM_MODULE);
	u64 task = bpf_get_current_task();
	struct bc_module_rec r;
	u64 id = bpf_get_current_pid_tgid();
	const struct cred *cred;

	if (!c)
		return 0;
	c->runs++;
	if (!bc_current_in_scope(task)) {
		c->filtered++;
		return 0;
	}
	__builtin_memset(&r, 0, sizeof(r));
	bpf_probe_read_kernel_str(r.name, sizeof(r.name), &mod->name);
	if (!bc_mine((u32)id, BC_STREAM_MODULE, *(u64 *)r.name))
		return 0;
	r.call.op = BC_OP_MODULE;
	r.call.key.pid = id >> 32;
	r.call.key.start = BPF_CORE_READ((struct task_struct *)task, group_leader, start_boottime);
	cred = BPF_CORE_READ((struct task_struct *)task, cred);
	r.call.uid = BPF_CORE_READ(cred, uid.val);
	r.call.euid = BPF_CORE_READ(cred, euid.val);
	r.call.gid = BPF_CORE_READ(cred, gid.val);
	r.call.egid = BPF_CORE_READ(cred, egid.val);
	r.call.args[0] = BPF_CORE_READ(mod, taints);
	r.sec.tag = BC_SEC_TEXT;
	r.sec.slot = 2;
	r.sec.len = sizeof(r.name);
	bc_header(&r.call.hdr, c, BC_CALL, BC_STREAM_MODULE, (u32)id);
	bc_send_critical(c, &r, sizeof(r));
	return 0;
}

/* So that the types are in this object's BTF, from which Go's are made. */
const struct bc_call *bc_unused_call __attribute__((unused));
const struct bc_sec *bc_unused_sec __attribute__((unused));
const struct bc_fd *bc_unused_fd __attribute__((unused));
const struct bc_cred *bc_unused_cred __attribute__((unused));
const struct bc_insns *bc_unused_insns __attribute__((unused));
const struct bc_open_name *bc_unused_name __attribute__((unused));
const struct bc_open_top *bc_unused_top __attribute__((unused));
const struct bc_connect_net *bc_unused_net __attribute__((unused));
const struct bc_connect_port *bc_unused_port __attribute__((unused));
