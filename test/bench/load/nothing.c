// nothing is the program that the exec workload starts: it ends at once. It
// has no C library, so that an exec costs what the kernel needs for it.

#include <sys/syscall.h>

void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_exit_group;
	register long status __asm__("x0") = 0;

	__asm__ volatile("svc 0" : : "r"(number), "r"(status) : "memory");
#else
#error "add the exit system call of this architecture"
#endif
	__builtin_unreachable();
}
