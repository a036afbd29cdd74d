// Package vmlinux reads the kernel out of the image that a host boots, says which places of
// its code the kernel changes by itself, and compares the code that runs with it.
//
// Open unpacks an image, Relocate moves it to where the running kernel lies, and Compare
// tells what differs. Nothing here asks the running kernel: whoever calls brings its bytes.
package vmlinux

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Bounds of what is taken for a kernel: the images of distributions have 8 to 20 MB, and
// what is in them 40 to 70.
const (
	mostPacked   = 64 << 20
	mostUnpacked = 192 << 20
)

// Open reads an image of the kind that boot loaders start (bzImage). Its memory lies outside
// the heap, until Close.
func Open(path string) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() < headerEnd || info.Size() > mostPacked {
		return nil, fmt.Errorf("%s is no image of a kernel: it has %d bytes", path, info.Size())
	}
	file, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(file) }()
	m, err := read(file, func(n int) ([]byte, error) {
		return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	}, unix.Munmap)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// The header of an image, by the boot protocol of x86 (version 2.08 and later).
const (
	setupSectors  = 0x1f1
	magicAt       = 0x202
	protocolAt    = 0x206
	versionAt     = 0x20e
	payloadAt     = 0x248
	payloadLenAt  = 0x24c
	headerEnd     = 0x250
	withPayload   = 0x208
	sectorLen     = 512
	mostOfVersion = 200
)

// payload finds the packed kernel in an image, and the text that names its version.
func payload(file []byte) (packed []byte, version string, err error) {
	le := binary.LittleEndian
	if len(file) < headerEnd || string(file[magicAt:magicAt+4]) != "HdrS" || le.Uint16(file[protocolAt:]) < withPayload {
		return nil, "", errors.New("it is no image of a kernel that a boot loader starts (bzImage)")
	}
	if at := sectorLen + int(le.Uint16(file[versionAt:])); at < len(file) {
		text := file[at:min(len(file), at+mostOfVersion)]
		text, _, _ = bytes.Cut(text, []byte{0})
		version = string(text)
	}
	sectors := uint64(file[setupSectors])
	if sectors == 0 {
		sectors = 4
	}
	start := (sectors+1)*sectorLen + uint64(le.Uint32(file[payloadAt:]))
	n := uint64(le.Uint32(file[payloadLenAt:]))
	if n < 8 || start+n > uint64(len(file)) {
		return nil, "", errors.New("it is cut off: the kernel in it goes beyond its end")
	}
	return file[start : start+n], version, nil
}

// unpack unpacks a kernel into dst, which is as long as it shall be. Packers that have no
// length of their own are followed by it.
func unpack(packed, dst []byte) error {
	body := packed[:len(packed)-4]
	begins := func(magic string) bool { return bytes.HasPrefix(packed, []byte(magic)) }
	var from io.Reader
	var err error
	switch {
	case begins("\x28\xb5\x2f\xfd"):
		return unpackZstd(body, dst)
	case begins("\x02\x21\x4c\x18"):
		return unpackLZ4(body[4:], dst)
	case begins("\x1f\x8b"):
		if from, err = gzip.NewReader(bytes.NewReader(packed)); err != nil {
			return fmt.Errorf("unpacking it as gzip: %w", err)
		}
	case begins("BZh"):
		from = bzip2.NewReader(bytes.NewReader(body))
	case begins("\x7fELF"):
		from = bytes.NewReader(body)
	case begins("\xfd7zXZ\x00"):
		return errors.New("it is packed with xz, which Bearcat does not unpack")
	case begins("\x5d\x00\x00"):
		return errors.New("it is packed with lzma, which Bearcat does not unpack")
	case begins("\x89LZO"):
		return errors.New("it is packed with lzo, which Bearcat does not unpack")
	default:
		return fmt.Errorf("it is packed in a way that is not known: it begins with %x", packed[:4])
	}
	if _, err := io.ReadFull(from, dst); err != nil {
		return fmt.Errorf("unpacking it: %w", err)
	}
	return nil
}

func unpackZstd(body, dst []byte) error {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostUnpacked))
	if err != nil {
		return fmt.Errorf("preparing to unpack it: %w", err)
	}
	defer d.Close()
	// of the same memory, as its capacity is all of it
	out, err := d.DecodeAll(body, dst[:0:len(dst)])
	switch {
	case err != nil:
		return fmt.Errorf("unpacking it as zstd: %w", err)
	case len(out) != len(dst):
		return fmt.Errorf("unpacking it as zstd: it has %d bytes, and was to have %d", len(out), len(dst))
	}
	return nil
}

// unpackLZ4 unpacks the older format of lz4's frames, which the kernel's makers use: blocks
// with their lengths before them.
func unpackLZ4(body, dst []byte) error {
	done := 0
	for len(body) >= 4 && done < len(dst) {
		n := uint64(binary.LittleEndian.Uint32(body))
		body = body[4:]
		if n == 0 || n > uint64(len(body)) {
			return errors.New("unpacking it as lz4: a block is longer than the file")
		}
		// what comes later points into the same block only
		got, err := lz4Block(body[:n], dst[done:])
		if err != nil {
			return err
		}
		done += got
		body = body[n:]
	}
	if done != len(dst) {
		return fmt.Errorf("unpacking it as lz4: it has %d bytes, and was to have %d", done, len(dst))
	}
	return nil
}

var errLZ4 = errors.New("unpacking it as lz4: a block is broken")

// lz4Block unpacks one block and gives its length: pieces that are copied as they are,
// each followed by a piece that was there before.
func lz4Block(in, out []byte) (int, error) {
	done := 0
	// length continues one of 15 by bytes up to the first that is not 255
	length := func(n int) (int, bool) {
		if n != 15 {
			return n, true
		}
		for len(in) > 0 && n <= len(out) {
			b := in[0]
			in = in[1:]
			n += int(b)
			if b != 255 {
				return n, true
			}
		}
		return 0, false
	}
	for len(in) > 0 {
		token := int(in[0])
		in = in[1:]
		n, ok := length(token >> 4)
		if !ok || n > len(in) || n > len(out)-done {
			return 0, errLZ4
		}
		copy(out[done:], in[:n])
		done += n
		if in = in[n:]; len(in) == 0 {
			return done, nil // the last piece has nothing behind it
		}
		if len(in) < 2 {
			return 0, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(in))
		in = in[2:]
		n, ok = length(token & 15)
		n += 4
		if !ok || back == 0 || back > done || n > len(out)-done {
			return 0, errLZ4
		}
		for ; n > 0; n-- { // byte by byte: it may go over into what it writes
			out[done] = out[done-back]
			done++
		}
	}
	return done, nil
}
