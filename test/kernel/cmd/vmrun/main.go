// Command vmrun runs commands and the module's kernel tests under other kernels.
//
//	vmrun [flags] KERNEL -- COMMAND…   boot KERNEL and run COMMAND in it as root
//	vmrun fetch [KERNEL…]              unpack kernels into the cache
//	vmrun list                         say which kernels there are
//	vmrun matrix [flags] [PACKAGE…]    run the kernel tests natively and in guests
//	vmrun unit [flags] [PACKAGE…]      run the other tests and count them
//	vmrun total FILE…                  add up the counts of matrix and unit
//
// Its exit status is the command's, 124 when the time was up and 125 when the
// guest ended without a status.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel"
)

const usage = `usage:
  vmrun [flags] KERNEL -- COMMAND...   boot KERNEL and run COMMAND in it as root
  vmrun fetch [KERNEL...]              unpack kernels into the cache
  vmrun list                           say which kernels there are
  vmrun matrix [flags] [PACKAGE...]    run the kernel tests natively and in guests
  vmrun unit [flags] [PACKAGE...]      run the other tests and count them
  vmrun total FILE...                  add up the counts of matrix and unit
flags of the first form:
`

// errUsage ends vmrun with status 2 after a message was printed.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status, err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errUsage):
		status = 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "vmrun:", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

func dispatch(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		args = []string{"-h"}
	}
	switch args[0] {
	case "fetch":
		names := args[1:]
		if len(names) == 0 {
			names = kernel.Names()
		}
		return 0, kernel.Fetch(ctx, os.Stderr, names...)
	case "list":
		return 0, list(os.Stdout)
	case "matrix":
		return runMatrix(ctx, args[1:])
	case "unit":
		return runUnit(ctx, args[1:])
	case "total":
		return total(os.Stdout, args[1:])
	}
	return bootOne(ctx, args)
}

func list(w io.Writer) error {
	cache, err := kernel.CacheDir()
	if err != nil {
		return err
	}
	for _, k := range kernel.Kernels {
		release := "not fetched"
		if t, err := kernel.Open(k.Name); err == nil {
			release = t.Release
		}
		fmt.Fprintf(w, "%-6s %-20s %s\n", k.Name, k.Suite, release)
	}
	fmt.Fprintln(w, "cache:", cache)
	return nil
}

// stringList is a flag that may be given several times or hold several words.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, " ") }

func (l *stringList) Set(s string) error {
	*l = append(*l, strings.Fields(strings.ReplaceAll(s, ",", " "))...)
	return nil
}

// assignments is a flag for NAME=VALUE that may be given several times.
type assignments []string

func (l *assignments) String() string { return strings.Join(*l, " ") }

func (l *assignments) Set(s string) error {
	if !strings.Contains(s, "=") {
		return errors.New("want NAME=VALUE")
	}
	*l = append(*l, s)
	return nil
}

// guestFlags defines the flags that say what a guest is like.
func guestFlags(f *flag.FlagSet, o *kernel.Options) {
	f.IntVar(&o.Memory, "m", 2048, "memory in `MiB`")
	f.IntVar(&o.CPUs, "c", 1, "`number` of processors")
	f.StringVar(&o.Append, "k", "", "more kernel `arguments`")
	f.Var((*stringList)(&o.Modules), "M", "kernel `modules` to load first")
	f.Var((*assignments)(&o.Env), "e", "`NAME=VALUE` for the command's environment; may be repeated")
	f.BoolVar(&o.Counted, "counted", false, "let time advance with instructions (one processor; for measurements)")
}

func bootOne(ctx context.Context, args []string) (int, error) {
	o := kernel.Options{Stdout: os.Stdout, Stderr: os.Stderr}
	f := flag.NewFlagSet("vmrun", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	guestFlags(f, &o)
	f.DurationVar(&o.Timeout, "t", 2*time.Minute, "end the guest after this `time`")
	f.StringVar(&o.Dir, "d", "", "working `directory` (default: this one)")
	f.StringVar(&o.Writable, "w", "", "`directory` that the guest may write for good")
	f.BoolVar(&o.HostTmp, "host-tmp", false, "show the machine's /tmp in place of an empty one")
	verbose := f.Bool("v", false, "show the guest's console at the end")
	if err := f.Parse(args); err != nil {
		return 2, errUsage
	}
	rest := f.Args()
	if len(rest) < 3 || rest[1] != "--" {
		f.Usage()
		return 2, errUsage
	}
	if *verbose {
		o.Console = os.Stderr
	}
	o.Kernel, o.Command = rest[0], rest[2:]
	if err := kernel.Fetch(ctx, io.Discard, o.Kernel); err != nil {
		return kernel.StatusLost, err
	}
	return kernel.Boot(ctx, o)
}
