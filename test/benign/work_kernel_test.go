package benign

import (
	"time"

	"github.com/bearcat-hids/bearcat/test/scenario"
)

// does makes a script that ends at its first failure.
func does(text string) scenario.Script {
	return scenario.Script{Text: "set -e\n" + text, Limit: 2 * time.Minute}
}

// ordinaryWork is the table.
func ordinaryWork() []work {
	out := buildWork()
	for _, more := range [][]work{systemWork(), serverWork(), packageWork()} {
		out = append(out, more...)
	}
	return out
}

// buildWork is what developers do.
func buildWork() []work {
	return []work{
		{name: "compile", needs: []string{"gcc", "make"}, Script: does(`
printf '#include <stdio.h>\nint main(void){puts("hello");return 0;}\n' >a.c
printf 'int two(void){return 2;}\n' >b.c
printf 'all: a libb.so\na: a.c\n\tgcc -O1 -o a a.c\nlibb.so: b.c\n\tgcc -shared -fPIC -o libb.so b.c\n' >Makefile
make >/dev/null; ./a | grep -q hello; mkdir -p /usr/local/lib; install libb.so /usr/local/lib/libb.so; ldconfig`)},
		{name: "git", needs: []string{"git"}, Script: does(`
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main one; cd one; echo 1 >f; git add f; git commit -qm one
git checkout -qb side; echo 2 >g; git add g; git commit -qm two
git checkout -q main; echo 3 >f; git commit -qam three; git checkout -q side; git rebase -q main
cd ..; git clone -q one two; cd two; git log --oneline | wc -l; git gc -q`)},
		{name: "python", needs: []string{"python3"}, Script: does(`
/usr/bin/python3 -m venv --without-pip v
printf 'import json,subprocess,tempfile,socket\nwith tempfile.NamedTemporaryFile() as f: f.write(b"x")\nprint(json.dumps(subprocess.run(["uname","-a"],capture_output=True,text=True).stdout))\ns=socket.create_server(("127.0.0.1",0));c=socket.create_connection(s.getsockname())\n' >s.py
v/bin/python s.py; /usr/bin/python3 -c 'import os;print(os.getpid())'; echo 'print(1)' | /usr/bin/python3`)},
		{name: "perl and pipes", needs: []string{"perl"}, Script: does(`
perl -e 'print join(",", map { $_*2 } 1..5), "\n"' | tr , '\n' | sort -n | xargs -n1 echo >/dev/null
seq 100 | awk '{s+=$1} END {print s}'; find /etc -name '*.conf' 2>/dev/null | head -5 | xargs grep -l root || true
echo 'echo piped' | sh; base64 </etc/hostname | base64 -d >/dev/null`)},
		// A debugger attached to a running process is a Notice, and starting
		// one under a debugger is nothing.
		{name: "debugging", needs: []string{"strace", "gdb"}, Script: does(`
strace -f -o trace sh -c 'true; /bin/true'; grep -q execve trace
sleep 60 & p=$!; gdb -q -batch -nx -p $p -ex 'info registers rip' >out 2>&1 || cat out; kill $p
gdb -q -batch -nx -ex run -ex quit --args /bin/true >/dev/null 2>&1`)},
	}
}

// systemWork is what administrators and the system itself do.
func systemWork() []work {
	return []work{
		{name: "dpkg", needs: []string{"dpkg-deb", "dpkg"}, Script: does(`
mkdir -p p/DEBIAN p/usr/bin p/usr/lib p/etc/cron.d p/usr/lib/systemd/system
printf 'Package: bearcat-scenario\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: scenario\n' >p/DEBIAN/control
printf '#!/bin/sh\nset -e\nchmod 4755 /usr/bin/bearcat-scenario\nmkdir -p /etc/systemd/system\nln -sf /usr/lib/systemd/system/bearcat-scenario.service /etc/systemd/system/bearcat-scenario.service\n' >p/DEBIAN/postinst
chmod 755 p/DEBIAN/postinst; cp /bin/true p/usr/bin/bearcat-scenario; cp /lib/x86_64-linux-gnu/libm.so.6 p/usr/lib/libscenario.so.1
echo '# nothing' >p/etc/cron.d/bearcat-scenario; printf '[Service]\nExecStart=/bin/true\n' >p/usr/lib/systemd/system/bearcat-scenario.service
dpkg-deb -b p p.deb >/dev/null; dpkg -i p.deb >/dev/null 2>&1; bearcat-scenario; rm /etc/systemd/system/bearcat-scenario.service; dpkg -P bearcat-scenario >/dev/null 2>&1`)},
		{name: "accounts", needs: []string{"useradd", "userdel", "passwd"}, Script: does(`
useradd -m scenario; echo scenario:s3cret | chpasswd; passwd -l scenario >/dev/null; usermod -c x scenario; userdel -r scenario 2>/dev/null`)},
		{name: "switch user", needs: []string{"su", "setpriv"}, Script: does(`
su nobody -s /bin/sh -c 'id >/dev/null'; setpriv --reuid=65534 --regid=65534 --clear-groups cat /etc/passwd >/dev/null
setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'cat /etc/passwd | wc -l' >/dev/null; su -c true`)},
		{name: "cron job", needs: []string{"run-parts"}, Script: does(`
mkdir daily; printf '#!/bin/sh\nfind /var/cache -type f | wc -l\n' >daily/count; chmod 755 daily/count
setsid sh -c "cd / && run-parts --report $PWD/daily" >/dev/null </dev/null
setsid sh -c 'find /tmp -xdev -mtime +7 -delete; df -h >/dev/null; ps aux | wc -l' >/dev/null </dev/null`)},
		{name: "logrotate", needs: []string{"logrotate"}, Script: does(`
mkdir -p /var/log; for f in syslog auth.log wtmp; do echo line >>/var/log/$f; done
printf '/var/log/syslog /var/log/auth.log {\n rotate 2\n compress\n missingok\n create 640 root root\n}\n/var/log/wtmp {\n rotate 1\n copytruncate\n}\n' >conf; chmod 644 conf
logrotate -f -s state conf; ls /var/log/auth.log.1* >/dev/null`)},
		{name: "backup", needs: []string{"tar", "gzip"}, Script: does(`
tar -czf b.tgz /etc 2>/dev/null; mkdir r; tar -xzf b.tgz -C r; find r -type f | wc -l; cp -a r s; rm -rf r s`)},
		{name: "container", needs: []string{"unshare", "busybox"}, Script: does(`
mkdir -p root/bin root/proc; cp "$(command -v busybox)" root/bin/busybox; ln -s busybox root/bin/sh
unshare -mpuin --fork sh -c 'hostname box; mount -t tmpfs none root/proc && umount root/proc && mount -t proc proc root/proc && chroot root /bin/sh -c "echo in; busybox ps"'`)},
		{name: "bind mounts", needs: []string{"mount"}, Script: does(`
mkdir a b; touch a/x; mount --bind a b; ls b/x >/dev/null; umount b; mount -t tmpfs none b; umount b
mount -t proc proc a; ls a/self >/dev/null; umount a`)},
		{name: "modules", needs: []string{"modprobe"}, Script: does(`
modprobe dummy; ip link add scenario0 type dummy; ip link del scenario0; modprobe -r dummy`)},
		{name: "web client and server", needs: []string{"python3", "curl"}, Script: does(`
echo ok >index.html; /usr/bin/python3 -m http.server 8099 --bind 127.0.0.1 >/dev/null 2>&1 & p=$!
for i in $(seq 40); do curl -s http://127.0.0.1:8099/ >got && break; sleep 0.25; done; kill $p; grep -q ok got`)},
		{name: "interactive shell", needs: []string{"script"}, Script: does(`
printf 'cd /tmp\nls >/dev/null\necho $((1+1))\nexit\n' | script -qec 'bash -i' /dev/null >/dev/null`)},
	}
}

// serverWork is what services do: they come with tools/deps/servers.sh.
func serverWork() []work {
	return []work{
		{name: "ssh login", needs: []string{"/usr/sbin/sshd", "ssh", "ssh-keygen"}, Script: does(`
mkdir -p /run/sshd; ssh-keygen -qt ed25519 -N '' -f hk; ssh-keygen -qt ed25519 -N '' -f uk
c=/etc/ssh/sshd_config; test -e $c || c=/usr/share/openssh/sshd_config # where the package has been unpacked only
/usr/sbin/sshd -f $c -p 2299 -h "$PWD/hk" -o AuthorizedKeysFile="$PWD/uk.pub" -o StrictModes=no -o PidFile="$PWD/pid"
ssh -p 2299 -i uk -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1 'id; uname -a' >/dev/null; kill "$(cat pid)"`)},
		{name: "web server with CGI", needs: []string{"busybox"}, Script: does(`
mkdir -p w/cgi-bin; printf '#!/bin/sh\necho; date\n' >w/cgi-bin/t; chmod 755 w/cgi-bin/t
busybox httpd -f -p 127.0.0.1:8098 -h w & p=$!
for i in $(seq 20); do busybox wget -qO got http://127.0.0.1:8098/cgi-bin/t && break; sleep 0.25; done; kill $p; test -s got`)},
		{name: "redis", needs: []string{"redis-server", "redis-cli"}, Script: does(`
redis-server --port 6399 --dir "$PWD" --daemonize yes >/dev/null; for i in $(seq 60); do redis-cli -p 6399 ping 2>/dev/null | grep -q PONG && break; sleep 0.25; done; redis-cli -p 6399 set a b >/dev/null; redis-cli -p 6399 save >/dev/null; redis-cli -p 6399 shutdown; test -s dump.rdb`)},
		{name: "nginx with CGI", needs: []string{"nginx", "fcgiwrap", "curl"}, Script: does(`
mkdir -p w l; printf '#!/bin/sh\necho Content-Type: text/plain; echo; date; id\n' >w/t.cgi; chmod 755 w/t.cgi; chmod 755 . w
printf 'daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path l; fastcgi_temp_path l; server { listen 127.0.0.1:8097; root %s/w;\nlocation / { fastcgi_pass unix:%s/s; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_param REQUEST_METHOD $request_method; } } }\n' "$PWD" "$PWD" >conf
fcgiwrap -s "unix:$PWD/s" & f=$!; for i in $(seq 40); do test -S s && break; sleep 0.25; done
nginx -p "$PWD" -c "$PWD/conf" 2>err & p=$!
for i in $(seq 40); do curl -sf http://127.0.0.1:8097/t.cgi >got && break; sleep 0.25; done; kill $p $f; cat err; grep -q uid= got`)},
		// at once, and not at the next minute
		{name: "cron", needs: []string{"cron"}, Script: does(`
mkdir -p /etc/cron.d /var/spool/cron/crontabs /run; printf '@reboot root /usr/bin/find /var/cache -type f >%s/count; df -h >%s/df\n' "$PWD" "$PWD" >job
install -m 644 job /etc/cron.d/scenario; rm -f /run/crond.reboot; /usr/sbin/cron -f & p=$!
for i in $(seq 60); do test -s df && break; sleep 0.25; done; kill $p; rm /etc/cron.d/scenario; test -s df`), justified: []string{
			// the script writes into /etc/cron.d with nobody logged in
			"Job schedule changed without a login"}},
		{name: "runc", needs: []string{"runc", "busybox", "python3"}, Script: does(`
mkdir -p c/rootfs/bin c/rootfs/proc; cp "$(command -v busybox)" c/rootfs/bin/busybox; ln -s busybox c/rootfs/bin/sh; cd c; runc spec
/usr/bin/python3 -c 'import json
c=json.load(open("config.json")); c["process"]["terminal"]=False; c["process"]["args"]=["/bin/sh","-c","echo in; busybox ps; busybox id"]
json.dump(c,open("config.json","w"))'
runc --root "$PWD/state" run scenario >out 2>&1 </dev/null || { cat out; exit 1; }; grep -q '^in' out`)},
	}
}

// packageWork is what package managers do beside dpkg.
func packageWork() []work {
	return []work{
		{name: "apt", needs: []string{"dpkg-deb", "apt-get"}, Script: does(`
mkdir -p p/DEBIAN p/usr/bin; cp /bin/true p/usr/bin/bearcat-scenario-apt
printf 'Package: bearcat-scenario-apt\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: scenario\n' >p/DEBIAN/control
printf '#!/bin/sh\nset -e\nldconfig\n' >p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst; dpkg-deb -b p p.deb >/dev/null
# with no lists of packages, which take long to read
mkdir lists; apt() { apt-get -qq -o Dir::State::lists="$PWD/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@" >out 2>&1 </dev/null || { cat out; exit 1; }; }
apt install -y ./p.deb; bearcat-scenario-apt; apt purge -y bearcat-scenario-apt`)},
	}
}
