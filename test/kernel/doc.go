// Package kernel runs commands and tests as root under Linux kernels other than
// the machine's own.
//
// A guest is a Debian cloud kernel under QEMU's software emulation, so neither
// nested virtualisation nor a disk image is needed. Its root file system is the
// machine's own: shared read-only over virtiofs and covered by an overlay in
// memory, so every program of the machine is there, and what the guest writes
// vanishes with it. Output and exit status come back over virtio-serial ports.
// A guest has no network device.
//
// The parts are:
//
//   - [Fetch] unpacks the kernels of [Kernels] through apt into [CacheDir];
//   - [Boot] runs one command in one guest;
//   - package matrix runs every kernel test of the module natively and in all
//     guests, and prints what passed, failed and was skipped;
//   - package guest is what tests import to say where they may run;
//   - test/kernel/init is the guest's first process;
//   - test/kernel/cmd/vmrun is the command in front of all this.
//
// A kernel test is a test in a file named *_kernel_test.go. It begins with
// guest.NeedKernel, which skips it unless the matrix runs it
// (BEARCAT_KERNEL_TESTS=1). Tests that must never touch the machine itself also
// call guest.Require: it skips unless BEARCAT_VM, which the guest's first
// process sets to the kernel's name, is there.
//
// The machine needs root, the packages that tools/deps/install.sh lists, and an
// apt configuration that names a Debian mirror.
package kernel
