package directory

import (
	"context"
	"fmt"
	"testing"
	"time"

	"posthouse/mail"
)

func TestAnswers(t *testing.T) {
	var c answers[mail.Address, Resolution]
	now := time.Unix(1e9, 0)
	ada := mail.Address{Local: "ada", Domain: "example.org"}
	res := Resolution{Local: true, Found: true, Accounts: []mail.AccountID{1}}
	has := func(a mail.Address, at time.Time) bool {
		_, _, ok := c.load(a, at)
		return ok
	}
	_, generation, _ := c.load(ada, now)
	c.forget() // the directory changes while the resolution is computed
	c.add(generation, ada, res, now)
	if has(ada, now) {
		t.Error("a resolution of the state before is believed")
	}
	_, generation, _ = c.load(ada, now)
	c.add(generation, ada, res, now)
	if !has(ada, now) || has(ada, now.Add(answerAge)) || has(ada, now.Add(-time.Hour)) {
		t.Error("not known, or known for too long")
	}
	for i := range 3 * maxAnswers {
		c.add(generation, mail.Address{Local: fmt.Sprint(i), Domain: "example.org"}, res, now)
		if len(c.known) > maxAnswers {
			t.Fatal("the cache grows without bound")
		}
	}
}

// A change counts from the moment at which it returns.
func TestResolveSeesChangesAtOnce(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	for i := range 20 {
		to := []mail.Address{ada.Address, ben.Address}[i%2]
		want := []mail.AccountID{ada.ID, ben.ID}[i%2]
		if _, err := d.SetAlias(ctx, Alias{Address: addr("turn@example.org"), Targets: []mail.Address{to}}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			res, err := d.Resolve(ctx, addr("turn@example.org"))
			if err != nil || len(res.Accounts) != 1 || res.Accounts[0] != want {
				t.Fatal(i, res, err)
			}
		}
	}
}

// So does one of who may send, of an account, and of which domains are here; what does not
// exist is not kept.
func TestMemorySeesChangesAtOnce(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	as := addr("team@example.org")
	for range 3 {
		for _, who := range []Account{ada, ben} {
			if _, err := d.SetAlias(ctx, Alias{Address: as, Targets: []mail.Address{who.Address}}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				a, err := d.MaySend(ctx, ada.ID, as)
				b, err2 := d.MaySend(ctx, ben.ID, as)
				if err != nil || err2 != nil || a != (who.ID == ada.ID) || b != (who.ID == ben.ID) {
					t.Fatal(a, b, err, err2)
				}
			}
		}
	}
	for _, change := range []func(context.Context, mail.Address, mail.Address) error{d.AllowSender, d.DenySender, d.AllowSender, d.DenySender} {
		before, err := d.MaySend(ctx, ben.ID, ada.Address)
		if err == nil {
			err = change(ctx, ada.Address, ben.Address)
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if now, err := d.MaySend(ctx, ben.ID, ada.Address); err != nil || now == before {
				t.Fatal(now, before, err)
			}
		}
	}
	for _, off := range []bool{true, false, true} {
		if _, err := d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = off }, nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a, err := d.Account(ctx, ada.ID)
			may, err2 := d.MaySend(ctx, ada.ID, ada.Address)
			if err != nil || err2 != nil || a.Disabled != off || may == off {
				t.Fatal(a, may, err, err2)
			}
		}
	}
	for range 2 {
		if res, err := d.Resolve(ctx, addr("new@new.example")); err != nil || res.Local {
			t.Fatal(res, err)
		}
	}
	if _, err := d.AddDomain(ctx, "new.example"); err != nil {
		t.Fatal(err)
	}
	if res, err := d.Resolve(ctx, addr("new@new.example")); err != nil || !res.Local || res.Found {
		t.Fatal(res, err)
	}
	if _, _, ok := d.memory.resolved.load(addr("new@new.example"), d.opts.Now()); ok {
		t.Error("an address that nobody has is kept")
	}
}
