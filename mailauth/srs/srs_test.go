package srs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/mailauth/srs"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func addr(s string) mail.Address {
	i := strings.LastIndexByte(s, '@')
	return mail.Address{Local: s[:i], Domain: mail.Domain(s[i+1:])}
}

// A message goes over three forwarders, and its bounce comes back over two of them.
func TestChain(t *testing.T) {
	one, two, three := &srs.Rewriter{Keys: [][]byte{[]byte("one")}}, &srs.Rewriter{Keys: [][]byte{[]byte("two")}}, &srs.Rewriter{Keys: [][]byte{[]byte("three")}}
	from := addr("Ada+x=y@a.test")
	a := one.Forward(from, "one.test", now)
	b := two.Forward(a, "two.test", now)
	c := three.Forward(b, "three.test", now)
	if !strings.HasPrefix(a.Local, "SRS0=") || !strings.HasPrefix(b.Local, "SRS1=") || !strings.HasPrefix(c.Local, "SRS1=") || c.Domain != "three.test" || len(c.Local) > len(b.Local)+2 {
		t.Fatal(a, b, c)
	}
	c.Local = strings.ToUpper(c.Local[:20]) + c.Local[20:] // as some servers do
	back, err := three.Reverse(c, now.Add(time.Hour))
	if err != nil || back.Domain != "one.test" {
		t.Fatal(back, err)
	}
	if back, err = one.Reverse(back, now.Add(20*24*time.Hour)); err != nil || !strings.EqualFold(back.String(), from.String()) || back.Domain != from.Domain {
		t.Error(back, err)
	}
	if _, err = one.Reverse(a, now.Add(23*24*time.Hour)); !errors.Is(err, srs.ErrExpired) {
		t.Error(err)
	}
	if _, err = two.Reverse(a, now); !errors.Is(err, srs.ErrNotOurs) {
		t.Error(err)
	}
	rotated := &srs.Rewriter{Keys: [][]byte{[]byte("new"), []byte("one")}}
	if _, err = rotated.Reverse(a, now); err != nil {
		t.Error(err)
	}
	if n := rotated.Forward(from, "one.test", now); n == a {
		t.Error("the old key signs")
	}
}

func TestForgedAndOdd(t *testing.T) {
	r := &srs.Rewriter{Keys: [][]byte{[]byte("k")}}
	good := r.Forward(addr("u@a.test"), "us.test", now)
	for _, bad := range []string{"u@us.test", "SRS0=u@us.test", "SRS0=aaaaaaaa=aa=a.test=u@us.test", strings.Replace(good.Local, "a.test", "b.test", 1) + "@us.test",
		"SRS1==@us.test", "SRS0@us.test", "SRS0=@us.test", "SRS1=aaaaaaaa=one.test==x@us.test", "=@us.test"} {
		if got, err := r.Reverse(addr(bad), now); err == nil {
			t.Errorf("%s: %v", bad, got)
		}
	}
	for _, same := range []mail.Address{{}, addr("u@us.test"), addr("u@[192.0.2.1]"), addr(strings.Repeat("x", 250) + "@a.test")} {
		if got := r.Forward(same, "us.test", now); got != same {
			t.Errorf("%v became %v", same, got)
		}
	}
	if got := (&srs.Rewriter{}).Forward(addr("u@a.test"), "us.test", now); got != addr("u@a.test") {
		t.Error(got)
	}
}

func FuzzReverse(f *testing.F) {
	r := &srs.Rewriter{Keys: [][]byte{[]byte("k")}}
	f.Add(r.Forward(addr("u@a.test"), "us.test", now).Local, "a.test")
	f.Add("SRS1=aaaaaaaa=one.test==bbbbbbbb=aa=a.test=u", "b.test")
	f.Fuzz(func(t *testing.T, local, domain string) {
		a := mail.Address{Local: local, Domain: mail.Domain(domain)}
		_, _ = r.Reverse(a, now)
		fw := r.Forward(a, "us.test", now)
		if fw == a {
			return
		}
		back, err := r.Reverse(fw, now)
		if err != nil && srs.Is(a) {
			return // what another forwarder made may be anything
		}
		if err != nil || !srs.Is(a) && !strings.EqualFold(back.Local, a.Local) {
			t.Fatalf("%v: %v, %v, %v", a, fw, back, err)
		}
	})
}
