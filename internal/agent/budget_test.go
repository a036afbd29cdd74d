package agent

import (
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

func TestLadder(t *testing.T) {
	l := ladder{allowed: 50, max: 3}
	for i, used := range []int{10, 50, 51, 60, 70, 80, 90} {
		want := []int{0, 0, 1, 2, 3, 3, 3}[i]
		if changed := l.look(used); l.level != want || changed != (i >= 2 && i <= 4) {
			t.Errorf("look %d: level %d, changed %v, want %d", i, l.level, changed, want)
		}
	}
	// it comes down only after a while well below the limit
	for range calmLooks - 1 {
		l.look(10)
	}
	l.look(30) // not well below
	for i := range calmLooks {
		if changed := l.look(10); changed != (i == calmLooks-1) {
			t.Errorf("calm look %d: changed %v", i, changed)
		}
	}
	if l.level != 2 {
		t.Errorf("level %d after one calm half minute, want 2", l.level)
	}
	for range 10 * calmLooks {
		l.look(0)
	}
	if l.level != 0 {
		t.Errorf("level %d after a long calm", l.level)
	}
}

func TestBudgetCountsPrograms(t *testing.T) {
	at := time.Now()
	b := &budget{at: at}
	b.used(nil, at.Add(time.Second))
	got := b.used([]kernel.HookStatus{{Runtime: time.Second}, {Runtime: time.Second}}, at.Add(101*time.Second))
	// two seconds of programs in a hundred, and the little that this test uses
	if got < 20 || got > 30 {
		t.Errorf("%d thousandths, want about 20", got)
	}
}
