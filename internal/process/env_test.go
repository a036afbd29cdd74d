package process

import (
	"slices"
	"strings"
	"testing"
)

func defaultEnv(t testing.TB) *EnvFilter {
	t.Helper()
	f, err := NewEnvFilter(defaultEnvKeys(), defaultEnvRedact())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEnvSelect(t *testing.T) {
	f := defaultEnv(t)
	for _, c := range []struct{ in, want string }{
		{"LD_PRELOAD=/tmp/x.so", "LD_PRELOAD=/tmp/x.so"},
		{"LD_=", "LD_="},
		{"OLD_PRELOAD=1", ""},
		{"ld_preload=1", ""},
		{"PATH=/bin", "PATH=/bin"},
		{"PATHS=/bin", ""},
		{"XPATH=/bin", ""},
		{"LANG=C", ""},
		{"TZ=UTC", ""},
		{"LD_PRELOAD", ""},
		{"=x", ""},
		{"", ""},
		{"ENV=a=b=c", "ENV=a=b=c"},
		{"HOME=\xff\xfe", "HOME=\xff\xfe"},
		{"SSH_CONNECTION=192.0.2.1 5 192.0.2.2 22", "SSH_CONNECTION=192.0.2.1 5 192.0.2.2 22"},
		{"SSH_AUTH_SOCK=/tmp/s", "SSH_AUTH_SOCK=/tmp/s"},
		{"SSH_TOKEN_X=abc", "SSH_TOKEN_X=***"},
		{"SSH_my_password=abc", "SSH_my_password=***"},
		{"SUDO_SECRET=http://u:p@h", "SUDO_SECRET=***"},
		{"http_proxy=http://proxy:3128", "http_proxy=http://proxy:3128"},
		{"http_proxy=http://user:pass@proxy:3128/", "http_proxy=http://***@proxy:3128/"},
		{"HTTPS_PROXY=http://user:p/a@s@proxy:3128/", "HTTPS_PROXY=http://***@proxy:3128/"},
		{"all_proxy=user:pass@proxy:3128", "all_proxy=***@proxy:3128"},
		{"no_proxy=localhost", "no_proxy=localhost"},
		{"Http_Proxy=x", ""},
		{"PROMPT_COMMAND=curl https://u:p@h/x -u a@b; wget ftp://q@r", "PROMPT_COMMAND=curl https://***@h/x -u a@b; wget ftp://***@r"},
		{"PWD=/home/a@b", "PWD=/home/a@b"},
		{"container=podman", "container=podman"},
	} {
		got := f.Select([]byte(c.in+"\x00"), nil)
		want := []string{c.want}
		if c.want == "" {
			want = nil
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q gave %q, want %q", c.in, got, want)
		}
	}
	got := f.Select([]byte("A=1\x00PATH=1\x00\x00PATH=2\x00HOME=/cut"), []string{"before"})
	if !slices.Equal(got, []string{"before", "PATH=1", "PATH=2", "HOME=/cut"}) {
		t.Errorf("%q", got)
	}
}

func TestEnvPatterns(t *testing.T) {
	for _, bad := range []string{"", "*A*B", "A*B", "A=B", "***", "A\x00"} {
		if _, err := NewEnvFilter([]string{bad}, nil); err == nil {
			t.Errorf("pattern %q was accepted", bad)
		}
		if _, err := NewEnvFilter(nil, []string{bad}); err == nil {
			t.Errorf("redact pattern %q was accepted", bad)
		}
	}
	f, err := NewEnvFilter([]string{"*"}, []string{"*mid*", "end*"})
	if err != nil {
		t.Fatal(err)
	}
	got := f.Select([]byte("a=1\x00xMIDx=2\x00ender=3\x00xend=4\x00"), nil)
	if !slices.Equal(got, []string{"a=1", "xMIDx=***", "ender=***", "xend=4"}) {
		t.Errorf("%q", got)
	}
	f, err = NewEnvFilter([]string{"*MID*", "*_X"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Select([]byte("aMIDb=1\x00q_X=2\x00q_x=3\x00"), nil); !slices.Equal(got, []string{"aMIDb=1", "q_X=2"}) {
		t.Errorf("%q", got)
	}
}

func TestEnvAllocatesOnlyForChosen(t *testing.T) {
	f := defaultEnv(t)
	block := []byte(strings.Repeat("LC_ALL=C\x00SOMETHING=else\x00a_very_long_key_that_ends_in_nothing_known_at_all_and_goes_on=1\x00", 20))
	if n := testing.AllocsPerRun(100, func() { f.Select(block, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzEnvSelect(f *testing.F) {
	f.Add([]byte("LD_PRELOAD=x\x00http_proxy=http://a:b@c\x00SSH_TOKEN=1\x00=\x00\x00PATH"))
	f.Add([]byte("PATH=://@://a@b/://c@"))
	filter := defaultEnv(f)
	f.Fuzz(func(t *testing.T, block []byte) {
		orig := string(block)
		for _, v := range filter.Select(block, nil) {
			key, val, ok := strings.Cut(v, "=")
			if !ok || key == "" || strings.Contains(v, "\x00") || !strings.Contains(orig, key+"=") || !filter.keys.match([]byte(key)) {
				t.Fatalf("chose %q of %q", v, block)
			}
			if filter.secret([]byte(key)) && val != redacted {
				t.Fatalf("kept the secret %q", v)
			}
			if again := filter.Select([]byte(v), nil); len(again) != 1 || strings.Count(again[0], "@") > strings.Count(v, "@") {
				t.Fatalf("%q became %q", v, again)
			}
		}
		if string(block) != orig {
			t.Fatal("the block was changed")
		}
	})
}

// defaultEnvKeys and defaultEnvRedact are much like the settings' defaults.
func defaultEnvKeys() []string {
	return []string{
		"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "PATH",
		"PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PERL5LIB", "PERL5OPT",
		"NODE_OPTIONS", "RUBYOPT", "JAVA_TOOL_OPTIONS",
		"BASH_ENV", "ENV", "PROMPT_COMMAND",
		"HISTFILE", "HISTSIZE", "HISTFILESIZE", "HISTCONTROL", "HISTIGNORE",
		"SSH_*", "SUDO_*", "TERM", "HOME", "USER", "LOGNAME", "SHELL", "PWD",
		"*_proxy", "KUBERNETES_SERVICE_HOST", "container",
	}
}

func defaultEnvRedact() []string {
	return []string{
		"*TOKEN*", "*SECRET*", "*PASSWORD*", "*PASSWD*", "*PASSPHRASE*",
		"*CREDENTIAL*", "*API_KEY*", "*APIKEY*", "*PRIVATE_KEY*", "*ACCESS_KEY*",
	}
}
