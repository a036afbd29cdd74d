// load makes work for the benchmarks and times itself.
//
//   load exec TARGET N    posix_spawn TARGET and wait, N times
//   load open FILE N      open and close FILE, N times
//   load rw N             write and read one byte through a pipe, N times
//   load getpid N         call getpid, N times
//   load connect N        connect to a loopback listener and close, N times
//   load dns N            ask a name server on loopback for N names, and be answered
//   load script FILE N    run FILE with /bin/sh, N times
//   load hold N           keep N sleeping processes until killed
//   load files N          keep N open files, a thousand in a process
//   load sockets N        keep N TCP sockets, each two of them connected
//
// All but the last three print one line: the name, N, and nanoseconds per operation.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t))
		die("reading the clock");
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void run(char *const argv[])
{
	int status, err;
	pid_t pid;

	err = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
	if (err) {
		errno = err;
		die(argv[0]);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waiting for a child");
	if (status) {
		fprintf(stderr, "load: %s ended with status %d\n", argv[0], status);
		exit(1);
	}
}

static double spawns(const char *target, long n)
{
	char *argv[] = { (char *)target, NULL };
	double start = now();

	for (long i = 0; i < n; i++)
		run(argv);
	return now() - start;
}

static double scripts(const char *file, long n)
{
	char *argv[] = { "/bin/sh", (char *)file, NULL };
	double start = now();

	for (long i = 0; i < n; i++)
		run(argv);
	return now() - start;
}

static double opens(const char *file, long n)
{
	double start = now();

	for (long i = 0; i < n; i++) {
		int fd = open(file, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			die(file);
		close(fd);
	}
	return now() - start;
}

static double rw(long n)
{
	double start;
	int p[2];
	char c = 'x';

	if (pipe(p))
		die("making a pipe");
	start = now();
	for (long i = 0; i < n; i++)
		if (write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
			die("writing and reading");
	return now() - start;
}

static double getpids(long n)
{
	double start = now();

	for (long i = 0; i < n; i++)
		syscall(SYS_getpid);
	return now() - start;
}

// The listener never accepts: the kernel completes each handshake. It is made
// anew before its queue is full. Closing with a reset leaves no TIME_WAIT, so
// that a later run finds as many free ports as the first.
static double connects(long n)
{
	struct linger reset = { .l_onoff = 1 };
	double spent = 0;

	for (long done = 0; done < n;) {
		struct sockaddr_in a = { .sin_family = AF_INET };
		socklen_t len = sizeof(a);
		long batch = n - done < 100 ? n - done : 100;
		int l = socket(AF_INET, SOCK_STREAM, 0);
		double start;

		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (l < 0 || bind(l, (void *)&a, sizeof(a)) || listen(l, 128) ||
		    getsockname(l, (void *)&a, &len))
			die("listening on loopback");
		start = now();
		for (long i = 0; i < batch; i++) {
			int s = socket(AF_INET, SOCK_STREAM, 0);

			if (s < 0 || connect(s, (void *)&a, sizeof(a)))
				die("connecting to loopback");
			setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
			close(s);
		}
		spent += now() - start;
		close(l);
		done += batch;
	}
	return spent;
}

static __attribute__((noreturn)) void hold(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("forking");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	printf("holding\n");
	fflush(stdout);
	for (;;)
		pause();
}

static void keep_files(long n)
{
	for (long i = 0; i < n; i++)
		if (open("/proc/self/exe", O_RDONLY) < 0)
			die("opening a file");
}

static void keep_sockets(long n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (l < 0 || bind(l, (void *)&a, sizeof(a)) || listen(l, 8) || getsockname(l, (void *)&a, &len))
		die("listening on loopback");
	for (long i = 0; i < n; i += 2) {
		int s = socket(AF_INET, SOCK_STREAM, 0);

		if (s < 0 || connect(s, (void *)&a, sizeof(a)) || accept(l, NULL, NULL) < 0)
			die("connecting to loopback");
	}
	close(l);
}

// spread has children make and keep n objects, as many in each as its limit of open
// files allows.
static __attribute__((noreturn)) void spread(void (*keep)(long), long n)
{
	const long most = 1000;
	long children = 0;
	char c = 'x';
	int p[2];

	if (pipe(p))
		die("making a pipe");
	for (; n > 0; n -= most, children++) {
		pid_t pid = fork();

		if (pid < 0)
			die("forking");
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(p[0]);
		keep(n < most ? n : most);
		if (write(p[1], &c, 1) != 1)
			die("telling the parent");
		for (;;)
			pause();
	}
	close(p[1]);
	while (children--)
		if (read(p[0], &c, 1) != 1) {
			fprintf(stderr, "load: a child could not make what it was to keep\n");
			exit(1);
		}
	printf("holding\n");
	fflush(stdout);
	for (;;)
		pause();
}

static void usage(void)
{
	fprintf(stderr, "usage: load exec|open|script FILE N, or load rw|getpid|connect|dns|hold|files|sockets N\n");
	exit(2);
}

/* dns asks 127.53.53.53, which is this program itself, for names that differ. */
static double dns(long n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) }, from;
	int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned char m[128], answer[128];
	double start;

	a.sin_addr.s_addr = htonl(0x7f353535);
	if (server < 0 || client < 0 || bind(server, (void *)&a, sizeof(a)))
		die("serving names on loopback");
	if (connect(client, (void *)&a, sizeof(a)))
		die("connecting to the name server");
	start = now();
	for (long i = 0; i < n; i++) {
		static const unsigned char head[12] = { 0, 0, 1, 0, 0, 1 };
		static const unsigned char tail[11] = { 3, 'o', 'r', 'g', 0, 0, 1, 0, 1 };
		static const unsigned char found[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1 };
		socklen_t size = sizeof(from);
		ssize_t len = 0;

		memcpy(m, head, sizeof(head));
		m[0] = i >> 8;
		m[1] = i;
		len = sizeof(head);
		m[len] = sprintf((char *)m + len + 1, "host%ld", i);
		len += m[len] + 1;
		memcpy(m + len, tail, 9);
		len += 9;
		if (send(client, m, len, 0) != len || recvfrom(server, answer, sizeof(answer), 0, (void *)&from, &size) != len)
			die("asking for a name");
		answer[2] = 0x81;
		answer[3] = 0x80;
		answer[7] = 1;
		memcpy(answer + len, found, sizeof(found));
		if (sendto(server, answer, len + sizeof(found), 0, (void *)&from, size) < 0 || recv(client, m, sizeof(m), 0) < 0)
			die("answering for a name");
	}
	return now() - start;
}

int main(int argc, char **argv)
{
	const char *name, *file = NULL;
	double ns;
	char *end;
	long n;

	if (argc < 3 || argc > 4)
		usage();
	name = argv[1];
	if (argc == 4)
		file = argv[2];
	n = strtol(argv[argc - 1], &end, 10);
	if (*end || n < 1)
		usage();
	if (file && !strcmp(name, "exec"))
		ns = spawns(file, n);
	else if (file && !strcmp(name, "open"))
		ns = opens(file, n);
	else if (file && !strcmp(name, "script"))
		ns = scripts(file, n);
	else if (!file && !strcmp(name, "rw"))
		ns = rw(n);
	else if (!file && !strcmp(name, "getpid"))
		ns = getpids(n);
	else if (!file && !strcmp(name, "connect"))
		ns = connects(n);
	else if (!file && !strcmp(name, "dns"))
		ns = dns(n);
	else if (!file && !strcmp(name, "hold"))
		hold(n);
	else if (!file && !strcmp(name, "files"))
		spread(keep_files, n);
	else if (!file && !strcmp(name, "sockets"))
		spread(keep_sockets, n);
	else
		usage();
	printf("%s %ld %.1f\n", name, n, ns / n);
	return 0;
}
