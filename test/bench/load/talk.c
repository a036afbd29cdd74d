// talk makes two processes work with one another, and times them.
//
//   talk switch N   pass a byte to and fro through pipes on one processor, N times:
//                   each is two switches from one process to the other
//   talk flow N     send N pieces of 64 KiB over TCP on loopback, until all is read
//
// It prints one line: the name, N, and nanoseconds per operation.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536

static char piece[PIECE];

static __attribute__((noreturn)) void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static double switches(long n)
{
	int to[2], fro[2];
	cpu_set_t one;
	double start;
	char c = 'x';

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one) || pipe(to) || pipe(fro))
		die("preparing the pipes");
	switch (fork()) {
	case -1:
		die("fork");
	case 0:
		for (long i = 0; i < n; i++)
			if (read(to[0], &c, 1) != 1 || write(fro[1], &c, 1) != 1)
				die("the other end");
		_exit(0);
	}
	start = now();
	for (long i = 0; i < n; i++)
		if (write(to[1], &c, 1) != 1 || read(fro[0], &c, 1) != 1)
			die("this end");
	start = now() - start;
	wait(NULL);
	return start;
}

static double flow(long n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), s;
	double start;
	char c;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (l < 0 || bind(l, (void *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (void *)&a, &len))
		die("listening on loopback");
	switch (fork()) {
	case -1:
		die("fork");
	case 0:
		s = accept(l, NULL, NULL);
		while (read(s, piece, PIECE) > 0)
			;
		if (write(s, "x", 1) != 1)
			die("answering");
		_exit(0);
	}
	s = socket(AF_INET, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (void *)&a, sizeof(a)))
		die("connecting to loopback");
	start = now();
	for (long i = 0; i < n; i++)
		for (long done = 0, k; done < PIECE; done += k)
			if ((k = write(s, piece, PIECE - done)) <= 0)
				die("sending");
	shutdown(s, SHUT_WR);
	if (read(s, &c, 1) != 1)
		die("waiting for the reader");
	start = now() - start;
	wait(NULL);
	return start;
}

int main(int argc, char **argv)
{
	long n = argc == 3 ? atol(argv[2]) : 0;
	double ns;

	if (n > 0 && !strcmp(argv[1], "switch"))
		ns = switches(n);
	else if (n > 0 && !strcmp(argv[1], "flow"))
		ns = flow(n);
	else {
		fprintf(stderr, "usage: talk switch|flow N\n");
		return 2;
	}
	printf("%s %ld %.1f\n", argv[1], n, ns / n);
	return 0;
}
