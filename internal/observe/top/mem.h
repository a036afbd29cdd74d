/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Page faults by kind, and tasks that must free memory themselves.
 *
 * The kind of a fault follows from what was tried and from the mapping at the address.
 * The mapping is looked up without a lock, as a lock would hold up the program that is
 * looked at: in the tree of mappings, node by node, with reads that may fail. A tree
 * that is changed meanwhile can at worst give a fault another kind.
 */
#ifndef BEARCAT_TOP_MEM_H
#define BEARCAT_TOP_MEM_H

/* Defined before this is included: wanted(), key_of(), now_in(), the constants. */

struct mem_stat {
	u64 anon_read;
	u64 anon_write;
	u64 file;
	u64 cow;
	u64 other;
	u64 major;
	u64 stalls;
	u64 stalled;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__type(key, struct who);
	__type(value, struct mem_stat);
} mem SEC(".maps");

/* How many major faults a thread had when it was last looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TASKS);
	__type(key, u32);
	__type(value, u64);
} majors SEC(".maps");

/* Since when a thread frees memory. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TASKS);
	__type(key, u32);
	__type(value, u64);
} freeing SEC(".maps");

/* When the looking began, on the clock of the boot: threads that began later have no
 * major faults from before. */
const volatile u64 since_boot = 0;

struct rb_node___m {
	struct rb_node___m *rb_right;
	struct rb_node___m *rb_left;
} __attribute__((preserve_access_index));

struct rb_root___m {
	struct rb_node___m *rb_node;
} __attribute__((preserve_access_index));

struct maple_tree___m {
	void *ma_root;
} __attribute__((preserve_access_index));

struct maple_range_64___m {
	unsigned long pivot[15];
	void *slot[16];
} __attribute__((preserve_access_index));

struct maple_arange_64___m {
	unsigned long pivot[9];
	void *slot[10];
} __attribute__((preserve_access_index));

enum maple_type___m { maple_leaf_64___m = 1 };

struct vm_area_struct___m {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	struct rb_node___m vm_rb; /* up to 6.0 */
	void *vm_ops;
} __attribute__((preserve_access_index));

struct mm_struct___m {
	struct maple_tree___m mm_mt; /* since 6.1 */
	struct rb_root___m mm_rb; /* up to 6.0 */
} __attribute__((preserve_access_index));

struct task_struct___m {
	struct mm_struct___m *mm;
	unsigned long maj_flt;
} __attribute__((preserve_access_index));

#define RANGE_PIVOTS 15
#define ARANGE_PIVOTS 9
#define MAPLE_DEPTH 8
#define RB_DEPTH 32
#define PAGE_ALIGNED (~4095ULL)

/* The first mapping that may hold an address, in a tree of nodes with sorted ends. */
static __noinline u64 maple_find(u64 root, u64 address)
{
	u64 leaf = bpf_core_enum_value(enum maple_type___m, maple_leaf_64___m);
	u64 pivot[RANGE_PIVOTS], node, goes, which, type, limit, slots;

	if ((root & 3) != 2 || root <= 4096) /* no mapping, or a single one */
		return 0;
	for (int depth = 0; depth < MAPLE_DEPTH; depth++) {
		node = root & ~255ULL;
		type = (root >> 3) & 15;
		limit = ARANGE_PIVOTS;
		slots = bpf_core_field_offset(struct maple_arange_64___m, slot);
		if (type <= leaf + 1) {
			limit = RANGE_PIVOTS;
			slots = bpf_core_field_offset(struct maple_range_64___m, slot);
		}
		if (bpf_probe_read_kernel(pivot, sizeof(pivot), (void *)(node + bpf_core_field_offset(struct maple_range_64___m, pivot))))
			return 0;
		/* counts the ends before the address, without branches: each would have the
		 * verifier look at all that follows once more */
		goes = 1;
		which = 0;
		for (u64 i = 0; i < RANGE_PIVOTS; i++) {
			goes &= ((pivot[i] >> 1) - (address >> 1)) >> 63 & (i - limit) >> 63;
			which += goes;
		}
		if (bpf_probe_read_kernel(&root, sizeof(root), (void *)(node + slots + 8 * which)))
			return 0;
		if (type <= leaf)
			return root;
	}
	return 0;
}

static __noinline u64 rb_find(u64 node, u64 address)
{
	struct vm_area_struct___m *vma, *best = NULL;

	for (int depth = 0; depth < RB_DEPTH && node; depth++) {
		vma = (void *)(node - bpf_core_field_offset(struct vm_area_struct___m, vm_rb));
		if (BPF_CORE_READ(vma, vm_end) > address) {
			best = vma;
			node = (u64)BPF_CORE_READ(vma, vm_rb.rb_left);
		} else {
			node = (u64)BPF_CORE_READ(vma, vm_rb.rb_right);
		}
	}
	return (u64)best;
}

static __always_inline struct vm_area_struct___m *mapping_at(struct mm_struct___m *mm, u64 address)
{
	struct vm_area_struct___m *vma = NULL;

	if (bpf_core_field_exists(mm->mm_mt))
		vma = (void *)maple_find((u64)BPF_CORE_READ(mm, mm_mt.ma_root), address);
	else if (bpf_core_field_exists(mm->mm_rb))
		vma = (void *)rb_find((u64)BPF_CORE_READ(mm, mm_rb.rb_node), address);
	if (!vma || BPF_CORE_READ(vma, vm_start) > address || BPF_CORE_READ(vma, vm_end) <= address)
		return NULL;
	return vma;
}

static __always_inline struct mem_stat *mem_of(struct task_struct *t)
{
	struct interval *in = now_in();
	struct mem_stat none = {}, *s;
	struct who key = {};

	if (!in)
		return NULL;
	key_of(&key, t, in->epoch);
	s = bpf_map_lookup_elem(&mem, &key);
	if (s)
		return s;
	name_of(none.comm, BPF_CORE_READ(t, group_leader));
	bpf_map_update_elem(&mem, &key, &none, BPF_NOEXIST);
	s = bpf_map_lookup_elem(&mem, &key);
	if (!s)
		count_lost(LOST_ENTRY);
	return s;
}

/* Adds a thread's major faults since it was last looked at. */
static __always_inline void count_major(struct task_struct *t, struct mem_stat *s)
{
	u64 now = BPF_CORE_READ((struct task_struct___m *)t, maj_flt), was = 0, *p;
	u32 pid = BPF_CORE_READ(t, pid);

	p = bpf_map_lookup_elem(&majors, &pid);
	if (p) {
		was = *p;
		*p = now;
	} else {
		if (BPF_CORE_READ(t, start_boottime) < since_boot)
			was = now;
		if (bpf_map_update_elem(&majors, &pid, &now, BPF_ANY))
			count_lost(LOST_TASK);
	}
	if (now > was)
		__sync_fetch_and_add(&s->major, now - was);
}

/* What the processor says of a fault. */
#define WAS_THERE 1
#define WRITES 2
#define VM_SHARED 8

static __always_inline void fault(u64 address, u64 code)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct mm_struct___m *mm = BPF_CORE_READ((struct task_struct___m *)t, mm);
	struct vm_area_struct___m *vma;
	struct mem_stat *s;
	u64 *n, flags;
	bool anonymous;

	if (!mm || !wanted(t))
		return;
	s = mem_of(t);
	if (!s)
		return;
	count_major(t, s);
	vma = mapping_at(mm, address & PAGE_ALIGNED);
	n = &s->other;
	if (vma) {
		flags = BPF_CORE_READ(vma, vm_flags);
		anonymous = !BPF_CORE_READ(vma, vm_ops);
		if (code & WAS_THERE) {
			if (code & WRITES)
				n = flags & VM_SHARED ? &s->file : &s->cow;
		} else if (anonymous) {
			n = code & WRITES ? &s->anon_write : &s->anon_read;
		} else {
			n = code & WRITES && !(flags & VM_SHARED) ? &s->cow : &s->file;
		}
	}
	__sync_fetch_and_add(n, 1);
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(mem_fault_user, unsigned long address, struct pt_regs *regs, unsigned long code)
{
	fault(address, code);
	return 0;
}

/* The kernel itself touches a program's memory, for a system call. */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(mem_fault_kernel, unsigned long address, struct pt_regs *regs, unsigned long code)
{
	if ((s64)address > 0)
		fault(address, code);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(mem_exit, struct task_struct *t)
{
	u32 pid = BPF_CORE_READ(t, pid);
	struct mem_stat *s;

	if (!wanted(t) || !bpf_map_lookup_elem(&majors, &pid)) /* it never faulted */
		return 0;
	s = mem_of(t);
	if (s)
		count_major(t, s);
	bpf_map_delete_elem(&majors, &pid);
	return 0;
}

static __always_inline int free_begin(void)
{
	u32 pid = bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_ns();

	if (wanted((struct task_struct *)bpf_get_current_task()))
		bpf_map_update_elem(&freeing, &pid, &now, BPF_ANY);
	return 0;
}

static __always_inline int free_end(void)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	u32 pid = bpf_get_current_pid_tgid();
	u64 *from = bpf_map_lookup_elem(&freeing, &pid), now = bpf_ktime_get_ns(), ns;
	struct mem_stat *s;

	if (!from)
		return 0;
	ns = now - *from;
	bpf_map_delete_elem(&freeing, &pid);
	s = mem_of(t);
	if (!s)
		return 0;
	__sync_fetch_and_add(&s->stalls, 1);
	__sync_fetch_and_add(&s->stalled, ns);
	return 0;
}

/* The whole host is short of memory. */
SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(mem_free_begin)
{
	return free_begin();
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(mem_free_end)
{
	return free_end();
}

/* A control group has reached its limit. */
SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(mem_group_begin)
{
	return free_begin();
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(mem_group_end)
{
	return free_end();
}

const struct mem_stat *unused_mem __attribute__((unused));

#endif
