/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How long functions of the kernel take: the one that a page fault ends in, and any by
 * name. The kernel tells it at fentry and fexit, or else by kprobes; the loader keeps
 * one of the pairs.
 */
#ifndef BEARCAT_HIST_FUNCTION_H
#define BEARCAT_HIST_FUNCTION_H

/* Defined before this is included: begin(), end(), add_current(), current_wanted(). */

struct vm_area_struct___h {
	unsigned long vm_flags;
	void *vm_ops;
} __attribute__((preserve_access_index));

struct pt_regs___h {
	unsigned long ax;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
} __attribute__((preserve_access_index));

#define FAULT_FLAG_WRITE 1
#define VM_SHARED 8
#define VM_FAULT_MAJOR 4
#define VM_FAULT_RETRY 0x400

/* What a fault is; the names are in names.go. */
enum { FAULT_ANON_READ, FAULT_ANON_WRITE, FAULT_FILE_READ, FAULT_FILE_WRITE, FAULT_COPY, FAULT_MAJOR };

/* A fault whose pages are waited for without the lock comes twice, and is one. */
#define RETRIED 0x80

static __always_inline int fault_from(u64 area, u64 address, u32 flags)
{
	struct vm_area_struct___h *vma = (void *)area;
	u64 what = (address >> 12) << 8;
	u32 tid = bpf_get_current_pid_tgid();
	struct begun *b;

	if (!current_wanted())
		return 0;
	b = bpf_map_lookup_elem(&begun, &tid);
	if (b && b->at && (b->what & RETRIED) && b->what >> 8 == address >> 12) {
		b->what &= ~(u64)RETRIED;
		return 0;
	}
	if (!BPF_CORE_READ(vma, vm_ops))
		what |= flags & FAULT_FLAG_WRITE ? FAULT_ANON_WRITE : FAULT_ANON_READ;
	else if (!(flags & FAULT_FLAG_WRITE))
		what |= FAULT_FILE_READ;
	else
		what |= BPF_CORE_READ(vma, vm_flags) & VM_SHARED ? FAULT_FILE_WRITE : FAULT_COPY;
	begin(tid, what);
	return 0;
}

static __always_inline int fault_to(u32 ret)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct begun *b = bpf_map_lookup_elem(&begun, &tid);
	u64 ns, what = 0;

	if (!b)
		return 0;
	if (ret & VM_FAULT_MAJOR)
		b->what = (b->what & ~0x7fULL) | FAULT_MAJOR;
	if (ret & VM_FAULT_RETRY) {
		b->what |= RETRIED;
		return 0;
	}
	ns = end(tid, &what);
	if (ns)
		add_current(what & 0x7f, ns);
	return 0;
}

SEC("fentry/handle_mm_fault")
int BPF_PROG(fault_begin, void *vma, unsigned long address, unsigned int flags)
{
	return fault_from((u64)vma, address, flags);
}

SEC("fexit/handle_mm_fault")
int BPF_PROG(fault_end, void *vma, unsigned long address, unsigned int flags, void *regs, u32 ret)
{
	return fault_to(ret);
}

SEC("kprobe/handle_mm_fault")
int fault_begin_probe(struct pt_regs___h *regs)
{
	return fault_from(regs->di, regs->si, regs->dx);
}

SEC("kretprobe/handle_mm_fault")
int fault_end_probe(struct pt_regs___h *regs)
{
	return fault_to(regs->ax);
}

/* Who a function runs for: a thread, or where none does, a processor. */
static __always_inline u32 runs_for(void)
{
	u32 tid = bpf_get_current_pid_tgid();

	return tid ? tid : 1u << 31 | bpf_get_smp_processor_id();
}

static __always_inline int function_from(void)
{
	if (current_wanted())
		begin(runs_for(), 0);
	return 0;
}

static __always_inline int function_to(void)
{
	u64 ns = end(runs_for(), NULL);

	if (ns)
		add_current(0, ns);
	return 0;
}

SEC("fentry/func")
int BPF_PROG(func_begin)
{
	return function_from();
}

SEC("fexit/func")
int BPF_PROG(func_end)
{
	return function_to();
}

SEC("kprobe/func")
int func_begin_probe(void *regs)
{
	return function_from();
}

SEC("kretprobe/func")
int func_end_probe(void *regs)
{
	return function_to();
}

#endif
