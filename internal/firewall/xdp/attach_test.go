package xdp

import (
	"strings"
	"testing"
)

func TestOffloadIsRefused(t *testing.T) {
	_, err := (&Firewall{}).Attach("lo", Offload)
	if err == nil || !strings.Contains(err.Error(), "native mode") {
		t.Errorf("offload to a card: %v, want a refusal that names native mode", err)
	}
}
