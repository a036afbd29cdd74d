package call

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Each change of a connection's state is told of, and whose it is, though the
// later ones happen in interrupts.
func TestCallTCPStates(t *testing.T) {
	for network, addr := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			w := observe(t)
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Skipf("cannot listen on %s: %v", addr, err)
			}
			port := uint16(l.Addr().(*net.TCPAddr).Port)
			c, err := net.Dial(network, l.Addr().String())
			need(t, err)
			s, err := l.Accept()
			need(t, err)
			_, err = c.Write(make([]byte, 1000))
			need(t, err)
			_, err = io.ReadFull(s, make([]byte, 1000))
			need(t, err)
			_, err = s.Write(make([]byte, 300))
			need(t, err)
			_, err = io.ReadFull(c, make([]byte, 300))
			need(t, err)
			local := uint16(c.LocalAddr().(*net.TCPAddr).Port)
			time.Sleep(10 * time.Millisecond)
			s.Close() // the client is closed from afar first, so that it does not linger
			time.Sleep(10 * time.Millisecond)
			c.Close()
			l.Close()
			client := func(from, to string) event.TaskRecord {
				t.Helper()
				r := w.find(event.TCP, from+" to "+to, func(r *event.TaskRecord) bool {
					return r.Call.TCP.Old == from && r.Call.TCP.New == to && r.Call.FD.Sock.RemotePort == port
				})
				expect(t, "process", int(r.Key.Pid), os.Getpid())
				sock := r.Call.FD.Sock
				expect(t, "family", sock.Family, "ipv"+network[3:])
				expect(t, "protocol", sock.Proto, "tcp")
				expect(t, "state", sock.State, to)
				expect(t, "remote end", sock.Remote, l.Addr().(*net.TCPAddr).IP.String())
				expect(t, from+" to "+to+": local port", sock.LocalPort, local)
				expect(t, "local end", sock.Local, sock.Remote)
				return r
			}
			client("syn_sent", "established")
			client("established", "close_wait")
			client("close_wait", "last_ack")
			r := client("last_ack", "close")
			expect(t, "bytes sent", r.Call.TCP.Sent, 1000)
			expect(t, "bytes received", r.Call.TCP.Received, 301) // the kernel counts the end as one
			if d := r.Call.TCP.Duration; d < 20*time.Millisecond || d > time.Minute {
				t.Errorf("the connection took %v", d)
			}
			r = w.find(event.TCP, "the listener", func(r *event.TaskRecord) bool { return r.Call.TCP.New == "listen" && r.Call.FD.Sock.LocalPort == port })
			expect(t, "the listener's port", r.Call.FD.Sock.LocalPort, port)
			w.find(event.TCP, "the listener's end", func(r *event.TaskRecord) bool {
				return r.Call.TCP.Old == "listen" && r.Call.TCP.New == "close" && r.Call.FD.Sock.LocalPort == port
			})
		})
	}
}

func TestCallTCPRefused(t *testing.T) {
	w := observe(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	need(t, err)
	addr := l.Addr().String()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	if c, err := net.Dial("tcp4", addr); err == nil {
		c.Close()
		t.Fatal("connected to a closed port")
	}
	r := w.find(event.TCP, "the refusal", func(r *event.TaskRecord) bool {
		return r.Call.TCP.Old == "syn_sent" && r.Call.TCP.New == "close" && r.Call.FD.Sock.RemotePort == port
	})
	expect(t, "process", int(r.Key.Pid), os.Getpid())
	expect(t, "bytes sent", r.Call.TCP.Sent, 0)
}
