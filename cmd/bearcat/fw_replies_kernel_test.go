package main

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"
)

const replyPolicy = `default: drop
rules:
  - {name: replies, match: {established: true}, action: pass}
  - {name: open, match: {protocol: tcp, dport: 2222}, action: pass}
`

// echo answers on a TCP and a UDP port of the client.
func (n *fwNet) echo(port int) {
	n.within(n.client, func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		n.Cleanup(func() { _, _ = l.Close(), u.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte("hello"))
				_ = c.Close()
			}
		}()
		go func() {
			b := make([]byte, 100)
			for {
				size, from, err := u.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = u.WriteTo(b[:size], from)
			}
		}()
		return nil
	})
}

// asks has the server open a connection to the client and wait for five bytes.
func (n *fwNet) asks(network, target string) error {
	var result error
	n.within(n.server, func() error {
		c, err := net.DialTimeout(network, target, time.Second)
		if err == nil {
			defer c.Close() //nolint:errcheck // only a test
			_ = c.SetDeadline(time.Now().Add(time.Second))
			if _, err = c.Write([]byte("hello")); err == nil {
				_, err = c.Read(make([]byte, 5))
			}
		}
		result = err
		return nil
	})
	return result
}

// answered asks again and again, for as long as a busy machine may take, and says what
// came of the last time.
func (n *fwNet) answered(network, target string) error {
	for deadline := time.Now().Add(time.Minute); ; {
		err := n.asks(network, target)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// TestFwReplies drops by default and wants replies, and nothing else, to come in.
func TestFwReplies(t *testing.T) {
	n := newFwNet(t)
	n.listen(2222, 2223)
	n.echo(5353)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	targets := map[string]string{"tcp4": "10.77.0.2:5353", "udp4": "10.77.0.2:5353", "tcp6": "[fd77::2]:5353", "udp6": "[fd77::2]:5353"}
	n.apply("default: drop\n")
	for network, target := range targets {
		if n.asks(network, target) == nil {
			t.Errorf("%s: a reply came in though all is dropped", network)
		}
	}
	n.apply(replyPolicy)
	for network, target := range targets {
		if err := n.answered(network, target); err != nil {
			t.Errorf("%s: no reply came in: %v", network, err)
		}
	}
	if made := n.attempts("10.77.0.2", "10.77.0.1:2223", 1, 0); made != 0 {
		t.Error("a new connection came in where no rule lets it")
	}
	if made := n.attempts("10.77.0.2", "10.77.0.1:2222", 2, 0); made != 2 {
		t.Errorf("%d of 2 connections to the open port", made)
	}
	// a port that a UDP socket is connected from is not open to others
	n.within(n.server, func() error {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: 7777}, &net.UDPAddr{IP: net.IPv4(10, 77, 0, 2), Port: 5353})
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = c.Close() })
		return nil
	})
	before := n.passed("replies")
	n.within(n.client, func() error {
		c, err := net.Dial("udp4", "10.77.0.1:7777") // from another port
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // only a test
		_, err = c.Write([]byte("hello"))
		return err
	})
	time.Sleep(200 * time.Millisecond)
	if after := n.passed("replies"); after != before {
		t.Errorf("%d packets from a stranger passed as replies", after-before)
	}
}

// passed gives how many packets met a rule.
func (n *fwNet) passed(rule string) uint64 {
	n.Helper()
	var s struct {
		Rules []struct {
			Name    string
			Packets uint64
		}
	}
	if err := json.Unmarshal([]byte(n.fw("stats", "--json")), &s); err != nil {
		n.Fatal(err)
	}
	for _, r := range s.Rules {
		if r.Name == rule {
			return r.Packets
		}
	}
	n.Fatalf("there is no rule %q in %+v", rule, s)
	return 0
}
