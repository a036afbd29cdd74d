/* Opens or appends to a file, or connects to port 6070 of an address, through
 * io_uring: no system call names it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT(ring, offset) ((unsigned *)((char *)(ring) + (offset)))

static void *map(int fd, size_t size, uint64_t what)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(6070) };
	struct io_uring_params p = { 0 };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	void *sq, *cq;
	int fd;

	if (argc != 3)
		return 2;
	fd = syscall(SYS_io_uring_setup, 1, &p);
	if (fd < 0) {
		perror("io_uring_setup");
		return 1;
	}
	sq = map(fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = map(fd, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), IORING_OFF_CQ_RING);
	sqe = map(fd, p.sq_entries * sizeof(*sqe), IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)sqe == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (!strcmp(argv[1], "connect")) {
		inet_pton(AF_INET, argv[2], &to.sin_addr);
		sqe->opcode = IORING_OP_CONNECT;
		sqe->fd = socket(AF_INET, SOCK_STREAM, 0);
		sqe->addr = (uint64_t)(uintptr_t)&to;
		sqe->off = sizeof(to);
	} else {
		sqe->opcode = IORING_OP_OPENAT;
		sqe->fd = AT_FDCWD;
		sqe->addr = (uint64_t)(uintptr_t)argv[2];
		sqe->open_flags = strcmp(argv[1], "append") ? O_RDONLY : O_WRONLY | O_APPEND;
	}
	*AT(sq, p.sq_off.array) = 0;
	__atomic_store_n(AT(sq, p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) {
		perror("io_uring_enter");
		return 1;
	}
	cqe = (struct io_uring_cqe *)((char *)cq + p.cq_off.cqes);
	return cqe->res < 0;
}
