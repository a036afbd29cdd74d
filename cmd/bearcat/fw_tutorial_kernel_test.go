package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestFirewallTutorial does what docs/firewall.md says, line by line: what it says of who
// reaches what must be so.
func TestFirewallTutorial(t *testing.T) {
	guest.Once(t)
	if guest.Name() != "" {
		guest.Modprobe(t, "veth")
	}
	page, err := os.ReadFile("../../docs/firewall.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		script.WriteString(block[1])
	}
	var want []string
	for _, says := range regexp.MustCompile(`(?m)knock ([0-9.]+) ([0-9]+).*# (reaches|does not reach)$`).FindAllStringSubmatch(script.String(), -1) {
		want = append(want, says[1]+" "+says[3]+" "+says[2])
	}
	if len(want) < 9 {
		t.Fatalf("the page says only of %d connections what becomes of them", len(want))
	}
	t.Cleanup(func() { // of what a failure leaves
		for _, args := range [][]string{{"ip", "netns", "del", "shop"}, {"ip", "netns", "del", "street"}, {"umount", "/run/fw-try"}} {
			_ = exec.Command(args[0], args[1:]...).Run()
		}
	})
	// servers that a failure leaves end with the shell's group
	out, err := exec.Command("sh", "-euc", "trap 'kill $web $ssh 2>/dev/null || :' EXIT\n"+script.String()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	got := regexp.MustCompile(`(?m)^[0-9.]+ (reaches|does not reach) [0-9]+$`).FindAllString(string(out), -1)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it went\n%s\nand the page says\n%s\nall:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), out)
	}
}
