package srs

import (
	"testing"
	"time"

	"posthouse/mail"
)

// What is sent to a member comes back as that member, for three weeks, and nobody else
// can make such an address.
func TestBounce(t *testing.T) {
	now := time.Unix(1.8e9, 0)
	old := &Rewriter{Keys: [][]byte{[]byte("old")}}
	r := &Rewriter{Keys: [][]byte{[]byte("new"), []byte("old")}}
	for _, member := range []mail.Address{{Local: "eve", Domain: "far.test"}, {Local: "a=b%3d+c", Domain: "far.test"}} {
		list := mail.Address{Local: "news=x%25", Domain: "demo.test"}
		for _, by := range []*Rewriter{r, old} {
			a := by.Bounce(list, member, now)
			if !IsBounce(a) || Is(a) || a.Domain != "demo.test" {
				t.Fatal(a)
			}
			if l, m, err := r.Bounced(a, now.Add(20*24*time.Hour)); err != nil || l != list || m != member {
				t.Errorf("%v: %v, %v, %v", a, l, m, err)
			}
			if _, _, err := r.Bounced(a, now.Add(23*24*time.Hour)); err != ErrExpired {
				t.Error(err)
			}
			for _, forged := range []mail.Address{{Local: a.Local + "x", Domain: a.Domain}, {Local: a.Local, Domain: "other.test"}, {Local: "bounce=aaaaaaaa=" + a.Local[16:], Domain: a.Domain}, {Local: "bounce=", Domain: a.Domain}, {Local: "eve", Domain: a.Domain}} {
				if _, _, err := r.Bounced(forged, now); err != ErrNotOurs {
					t.Errorf("%v: %v", forged, err)
				}
			}
		}
	}
	list := mail.Address{Local: "news", Domain: "demo.test"}
	if a := (&Rewriter{}).Bounce(list, mail.Address{Local: "eve", Domain: "far.test"}, now); a != list {
		t.Error(a)
	}
}
