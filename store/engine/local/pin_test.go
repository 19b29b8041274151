package local

import "testing"

func TestPins(t *testing.T) {
	var p pins
	can := func(last uint64) bool {
		ok, err := p.reclaim(last, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !can(7) {
		t.Error("nothing is held, yet a file is kept")
	}
	all, some := p.hold(0), p.hold(5)
	if can(0) || can(4) {
		t.Error("a pin of everything keeps nothing")
	}
	all.release()
	all.release()
	if !can(4) || can(5) {
		t.Error("a pin from commit 5 on keeps what is before it, or not what is after")
	}
	some.move(9)
	some.move(2)
	if !can(8) || can(9) {
		t.Error("the pin did not move, or moved back")
	}
	some.release()
	some.move(1)
	if !can(9) {
		t.Error("a released pin holds")
	}
}
