package firewall

import "testing"

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.7/24": "192.0.2.0/24", "192.0.2.7": "192.0.2.7/32", "2001:db8::7/32": "2001:db8::/32", "::ffff:192.0.2.7/120": "", "192.0.2.7/33": "", "x": ""} {
		got, err := Network(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%s: %v, %v, want %q", text, got, err, want)
		}
	}
	if _, err := Prefix("192.0.2.7/24"); err == nil {
		t.Error("a prefix with bits beyond its length is accepted")
	}
}
