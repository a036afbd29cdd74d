/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Unwinds the user's part of a stack by tables that Bearcat makes of .eh_frame, without
 * need of frame pointers. A process that has no tables yet is told to user space, and
 * meanwhile followed by frame pointers.
 *
 * The functions that are not inlined are verified by themselves, once: that keeps the
 * loops within each other cheap enough for the verifier of 5.10, which has no bpf_loop,
 * so that every kernel reaches the same depth.
 */
#ifndef BEARCAT_UNWIND_H
#define BEARCAT_UNWIND_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct___flame {
	void *stack;
	int exit_state;
} __attribute__((preserve_access_index));

#define FRAMES 128       /* with the one that says why a stack is cut short */
#define ROWS (1 << 22)   /* of all tables; 8 bytes each */
#define ROW_STEPS 23     /* that halve as many */
#define AREAS (1 << 16)  /* of all processes */
#define AREA_STEPS 13    /* that halve the most of one */
#define PROCESSES 4096
#define USER_STACKS 16384
#define WISHES 65536     /* bytes */
/* How long to wait before asking again: no answer came, as an exec was under way, or what
 * came does not hold the code, which may be new. In ns. */
#define ASK_AGAIN 20000000LL

/* As NO_STACK: unwinding is left to the kernel. */
#define BY_POINTER -3

/* What is known of a place in the code; package ehframe says what the bits mean. */
struct table_row {
	u32 pc;
	u32 rule;
};

enum { POINTER, UNSUPPORTED, END, SP, BP, PLT, SP_DEREF, BP_DEREF, SIGNAL };
#define SAVED_AT_BP 255

/* A part of a process's memory with code. */
struct area {
	u64 start, end;
	u64 base; /* what rows of its table count from */
	u32 first, count; /* its rows */
};

struct process_tables {
	u64 mm; /* whose memory this is: another after exec. 0 when made before it was seen */
	u64 asked; /* when user space was asked last; it puts off what does not help */
	u32 first, count; /* its areas */
};

/* What user space is asked for. */
struct wish {
	u64 mm;
	u32 tgid;
	u32 pad;
};

struct user_stack {
	u64 len;
	u64 addrs[FRAMES];
};

/* Why a stack ends. Those from CUT on are short of the outermost frame. */
enum {
	GO_ON,
	WHOLE,
	EARLY, /* before the tables were made */
	NO_ROOM, /* for more processes */
	BUSY,
	ALIEN, /* the registers are not those of 64-bit code */
	CUT,
	CUT_DEEP = CUT,
	CUT_POINTER, /* there is no rule, and the frame pointer leads nowhere */
	CUT_RULE, /* the rule leads nowhere */
	CUT_MEMORY, /* the stack cannot be read */
	CUT_CODE, /* the way leads to where no code is, or none that is known yet */
	NENDS,
};

/* Written by user space through memory that both share. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ROWS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct table_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, AREAS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct area);
} areas SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES);
	__type(key, u32);
	__type(value, struct process_tables);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, USER_STACKS);
	__type(key, u64);
	__type(value, struct user_stack);
} user_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WISHES);
} wishes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NENDS);
	__type(key, u32);
	__type(value, u64);
} ends SEC(".maps");

/* One stack in the making. */
struct walk {
	u64 ip, sp, bp;
	u64 hash;
	u64 base;
	u32 first, count; /* areas of the process, and then rows of the area */
	u32 area_first, area_count;
	u32 exact; /* ip is where it was interrupted, not where it returns to */
	u32 unknown; /* there is code in no area */
	u32 busy;
	struct user_stack stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct walk);
} walks SEC(".maps");

static __always_inline void count_end(u32 why)
{
	u64 *n = bpf_map_lookup_elem(&ends, &why);

	if (n)
		*n += 1;
}

static __always_inline struct walk *this_walk(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}

/* Finds the area that holds an address, and the rows of its table. */
__noinline int bc_find_area(u64 pc)
{
	struct walk *w = this_walk();
	struct area *a;
	u32 low, high, mid;

	if (!w)
		return 0;
	low = w->first;
	high = low + w->count;
	for (int i = 0; i < AREA_STEPS && low < high; i++) { /* the first that begins behind pc */
		mid = low + (high - low) / 2;
		a = bpf_map_lookup_elem(&areas, &mid);
		if (!a)
			return 0;
		if (a->start <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	mid = low - 1;
	if (low == w->first)
		return 0;
	a = bpf_map_lookup_elem(&areas, &mid);
	if (!a || pc < a->start || pc >= a->end)
		return 0;
	w->base = a->base;
	w->area_first = a->first;
	w->area_count = a->count;
	return 1;
}

/* Finds the rule that holds at a place, in the area that was found. */
__noinline u32 bc_find_rule(u32 pc)
{
	struct walk *w = this_walk();
	struct table_row *r;
	u32 low, high, mid;

	if (!w)
		return POINTER;
	low = w->area_first;
	high = low + w->area_count;
	for (int i = 0; i < ROW_STEPS && low < high; i++) {
		mid = low + (high - low) / 2;
		r = bpf_map_lookup_elem(&rows, &mid);
		if (!r)
			return POINTER;
		if (r->pc <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	mid = low - 1;
	if (low == w->area_first)
		return POINTER;
	r = bpf_map_lookup_elem(&rows, &mid);
	return r ? r->rule : POINTER;
}

static __always_inline bool user_read(u64 *out, u64 from)
{
	return bpf_probe_read_user(out, sizeof(*out), (void *)from) == 0;
}

/* The caller by the frame pointer. strict is for code that may have none: then what is
 * in the register must at least look like one. */
static __always_inline int by_pointer(struct walk *w, bool strict)
{
	u64 pair[2];

	if (!w->bp)
		return WHOLE; /* who begins a stack clears it */
	if (w->bp & 7 || (strict && w->bp < w->sp))
		return CUT_POINTER;
	if (bpf_probe_read_user(pair, sizeof(pair), (void *)w->bp) || pair[0] == w->bp)
		return CUT_POINTER;
	w->sp = w->bp + 16;
	w->bp = pair[0];
	w->ip = pair[1];
	w->exact = 0;
	return w->ip ? GO_ON : WHOLE;
}

/* What the kernel laid down for a handler of signals. */
static __always_inline int by_signal(struct walk *w)
{
	u64 sp = w->sp;

	if (!user_read(&w->sp, sp + 160) || !user_read(&w->ip, sp + 168) || !user_read(&w->bp, sp + 120))
		return CUT_MEMORY;
	w->exact = 1;
	return GO_ON;
}

static __always_inline int by_rule(struct walk *w, u32 rule)
{
	u64 cfa, off = (u64)(rule >> 12) * 8, ra;
	u32 slot = (rule >> 4) & 255, kind = rule & 15;
	s64 below = (s64)((s32)(rule << 6) >> 18) * 8; /* 14 bits with a sign */

	switch (kind) {
	case SP:
		cfa = w->sp + off;
		break;
	case BP:
		cfa = w->bp + off;
		break;
	case PLT:
		cfa = w->sp + 8 + ((w->ip & 15) >= off / 8 ? 8 : 0);
		break;
	case SP_DEREF:
	case BP_DEREF:
		if (!user_read(&cfa, (kind == SP_DEREF ? w->sp : w->bp) + below))
			return CUT_MEMORY;
		cfa += (u64)(rule >> 26) * 8;
		break;
	default:
		return CUT_RULE;
	}
	if (cfa <= w->sp) /* or it could go round in a circle */
		return CUT_RULE;
	if (!user_read(&ra, cfa - 8))
		return CUT_MEMORY;
	if (slot && !user_read(&w->bp, slot == SAVED_AT_BP ? w->bp : cfa - 8 * slot))
		return CUT_MEMORY;
	w->sp = cfa;
	w->ip = ra;
	w->exact = 0;
	return ra ? GO_ON : WHOLE;
}

static __always_inline void put_frame(struct walk *w, u32 at, u64 addr)
{
	w->stack.addrs[at & (FRAMES - 1)] = addr;
	w->stack.len = at + 1;
	w->hash = (w->hash ^ addr) * 0x9e3779b97f4a7c15ULL;
	w->hash ^= w->hash >> 29;
}

/* Notes the frame where the walk stands and goes to its caller. */
__noinline int bc_unwind_frame(u32 at)
{
	struct walk *w = this_walk();
	u32 rule = POINTER;
	u64 pc;
	int known, why;

	if (!w)
		return CUT_RULE;
	pc = w->ip - !w->exact; /* a call may be the last that its function does */
	known = bc_find_area(pc);
	if (!known) {
		w->unknown = 1;
		if (at > 0)
			return CUT_CODE;
	}
	put_frame(w, at, w->ip);
	if (known && w->area_count)
		rule = bc_find_rule(pc - w->base);
	switch (rule & 15) {
	case POINTER:
		why = by_pointer(w, false);
		return why == CUT_POINTER && !known ? CUT_CODE : why;
	case UNSUPPORTED:
		return by_pointer(w, true);
	case END:
		return WHOLE;
	case SIGNAL:
		return by_signal(w);
	}
	return by_rule(w, rule);
}

/* Kernels from 5.15 on say themselves where a task keeps the user's registers. Before,
 * they are at the very top of its stack of four pages; with FRED, which is newer, there
 * is something above them. */
#define OLD_STACK 16384
#define USER_CS 0x33 /* of code with 64 bits; Xen's has other bits above */

struct pt_regs___user {
	unsigned long bp, ip, cs, sp;
} __attribute__((preserve_access_index));

static __always_inline bool user_registers(struct walk *w)
{
	struct pt_regs___user *regs;
	u64 cs;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	else
		regs = BPF_CORE_READ((struct task_struct___flame *)bpf_get_current_task(), stack) +
		       OLD_STACK - bpf_core_type_size(struct pt_regs___user);
	cs = BPF_CORE_READ(regs, cs);
	w->ip = BPF_CORE_READ(regs, ip);
	w->sp = BPF_CORE_READ(regs, sp);
	w->bp = BPF_CORE_READ(regs, bp);
	w->exact = 1;
	return (cs & 0xff) == USER_CS;
}

/* Walks from the user's registers outwards. */
__noinline int bc_unwind(u32 first, u32 count)
{
	struct walk *w = this_walk();
	int why = GO_ON;

	if (!w || !user_registers(w))
		return BY_POINTER;
	w->first = first;
	w->count = count;
	w->hash = 0;
	w->unknown = 0;
	w->stack.len = 0;
	for (u32 i = 0; i < FRAMES - 1; i++) {
		why = bc_unwind_frame(i);
		if (why != GO_ON)
			break;
	}
	if (why == GO_ON)
		why = CUT_DEEP;
	if (why >= CUT)
		put_frame(w, w->stack.len, why);
	count_end(why);
	return why;
}

static __always_inline void ask_for(u32 tgid, u64 mm)
{
	struct wish wish = { .tgid = tgid, .mm = mm };

	bpf_ringbuf_output(&wishes, &wish, sizeof(wish), 0);
}

static __always_inline void ask_again(struct process_tables *p, u32 tgid, u64 mm, u64 now)
{
	if ((s64)(now - p->asked) > ASK_AGAIN) {
		p->asked = now;
		ask_for(tgid, mm);
	}
}

/* Finds the tables of the current process, or asks for them. */
static __always_inline struct process_tables *tables_of(u32 tgid, u64 mm)
{
	struct process_tables *p = bpf_map_lookup_elem(&tables, &tgid);
	u64 now = bpf_ktime_get_ns();

	if (!p) {
		struct process_tables fresh = { .mm = mm, .asked = now };

		if (bpf_map_update_elem(&tables, &tgid, &fresh, BPF_NOEXIST)) {
			count_end(NO_ROOM);
			return NULL;
		}
		ask_for(tgid, mm);
		count_end(EARLY);
		return NULL;
	}
	if (!p->mm)
		p->mm = mm;
	if (p->mm != mm) {
		p->count = 0;
		p->mm = mm;
		p->asked = 0;
	}
	if (!p->count) {
		ask_again(p, tgid, mm, now);
		count_end(EARLY);
		return NULL;
	}
	return p;
}

/* The current task's stack in user_stacks. */
static __always_inline s64 unwound(u32 tgid)
{
	struct process_tables *p;
	struct walk *w;
	u64 name, mm;
	s64 id;
	int why;

	mm = (u64)BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), mm);
	if (!mm)
		return NO_STACK;
	p = tables_of(tgid, mm);
	if (!p)
		return BY_POINTER;
	w = this_walk();
	if (!w)
		return BY_POINTER;
	if (w->busy) { /* this interrupts itself */
		count_end(BUSY);
		return BY_POINTER;
	}
	w->busy = 1;
	why = bc_unwind(p->first, p->count);
	name = (w->hash & ~(3ULL << 62)) | 1ULL << 62;
	id = name;
	if (why == BY_POINTER) {
		count_end(ALIEN);
		id = BY_POINTER;
	} else if (!bpf_map_lookup_elem(&user_stacks, &name) &&
		   bpf_map_update_elem(&user_stacks, &name, &w->stack, BPF_ANY)) {
		id = LOST_STACK;
	}
	if (w->unknown)
		ask_again(p, tgid, mm, bpf_ktime_get_ns());
	w->busy = 0;
	return id;
}

const struct user_stack *unused_stack __attribute__((unused));
const struct area *unused_area __attribute__((unused));
const struct table_row *unused_row __attribute__((unused));
const struct process_tables *unused_tables __attribute__((unused));
const struct wish *unused_wish __attribute__((unused));

#endif
