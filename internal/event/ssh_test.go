package event

import "testing"

func TestSSHFrom(t *testing.T) {
	sshd := &Process{Image: &Image{Exe: File{Path: "/usr/sbin/sshd-session"}, Stdio: [3]Stdio{{Kind: StdioSocket, Sock: &Socket{Family: "ipv4", Remote: "192.0.2.7", RemotePort: 55123}}}}}
	shell := &Process{Parent: sshd, Image: &Image{Exe: File{Path: "/usr/bin/bash"}, Env: []string{"SSH_CONNECTION=203.0.113.9 1 10.0.0.5 22"}}}
	if from, port := sshPeer(shell); from != "192.0.2.7" || port != 55123 {
		t.Errorf("a forged variable counts more than the socket: %s %d", from, port)
	}
	shell.Parent = nil
	if from, port := sshPeer(shell); from != "203.0.113.9" || port != 1 {
		t.Errorf("%s %d", from, port)
	}
	other := &Process{Image: &Image{Exe: File{Path: "/usr/bin/nc"}, Stdio: sshd.Image.Stdio}}
	if from := SSHFrom(other); from != "" {
		t.Errorf("what is no sshd gives %s", from)
	}
	shell.Image.Env = []string{"SSH_CONNECTION="}
	if from := SSHFrom(shell); from != "" || SSHFrom(nil) != "" {
		t.Errorf("nothing gives %s", from)
	}
}
