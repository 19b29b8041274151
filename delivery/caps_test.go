package delivery

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/mail"
)

// What a stolen account sends is kept, not sent and not sent back, and its owner is told
// once a day.
func TestCaps(t *testing.T) {
	now := time.Unix(1.8e9, 0).UTC()
	caps := func(h *house) func(*Options) {
		return func(o *Options) {
			o.Caps, o.Engine = Caps{Messages: 4, NewRecipients: 3}, h.eng
			o.Store, o.Directory, o.Queue = h.st, h.dir, h.queue
			o.Now = func() time.Time { return now }
		}
	}
	h := newHouse(t, nil)
	restart := func() { // the counts are not in memory only
		o := h.svc.opts
		caps(h)(&o)
		h.svc = New(o)
	}
	restart()
	ctx := context.Background()
	ben, err := h.dir.AccountByAddress(ctx, addr("ben@demo.test"))
	must(t, err)
	send := func(to ...string) (held bool) {
		t.Helper()
		tx := h.send(&Session{Origin: FromSubmission, Account: &ben}, "ben@demo.test", to, "From: ben@demo.test\r\n\r\nhello\r\n")
		r := tx.Accept(ctx)
		tx.Close()
		if !r.Positive() {
			t.Fatal(r)
		}
		return strings.Contains(r.Text, "held")
	}
	told := func() int { return len(h.inbox("ada@demo.test")) }
	type step struct {
		to   []string
		held bool
		told int // the administrator, who is ada
	}
	for i, s := range []step{
		{[]string{"one@far.test", "two@far.test"}, false, 0},
		{[]string{"ONE@far.test"}, false, 0},
		{[]string{"three@far.test", "four@far.test"}, true, 1}, // two new, one left
		{[]string{"three@far.test"}, false, 1},                 // the one that is left
		{[]string{"one@far.test"}, true, 1},                    // the fifth message
		{[]string{"ada@demo.test"}, false, 2},                  // here it costs nothing
	} {
		if i == 3 {
			restart()
		}
		if got := send(s.to...); got != s.held || told() != s.told {
			t.Errorf("%d, to %v: held %v, told %d; want %+v", i, s.to, got, told(), s)
		}
	}
	if got := h.inbox("ben@demo.test"); len(got) != 1 || !strings.Contains(got[0], "Subject: Your mail is held") || !strings.Contains(got[0], "at most 4\nmessages, and messages to at most 3") && !strings.Contains(got[0], "at most 4\r\nmessages, and messages to at most 3") {
		t.Errorf("%q", got)
	}
	now = now.Add(24 * time.Hour)
	if send("five@far.test") {
		t.Error("held on the next day")
	}
	for i := range 3 {
		send(fmt.Sprintf("next%d@far.test", i))
	}
	if told() != 3 {
		t.Errorf("told %d times", told())
	}
}

// An account can have bounds of its own, which hold at once.
func TestOwnCaps(t *testing.T) {
	h := newHouse(t, nil)
	o := h.svc.opts
	o.Caps, o.Engine = Caps{Messages: 2, NewRecipients: 2}, h.eng
	h.svc = New(o)
	ctx := context.Background()
	ben, err := h.dir.AccountByAddress(ctx, addr("ben@demo.test"))
	must(t, err)
	for i, s := range []struct {
		own  directory.SendLimit
		held bool
	}{
		{directory.SendLimit{}, false},
		{directory.SendLimit{}, false},
		{directory.SendLimit{}, true},
		{directory.SendLimit{Messages: 10}, true}, // to a third new recipient
		{directory.SendLimit{Messages: 10, NewRecipients: 3}, false},
		{directory.SendLimit{Messages: 10, NewRecipients: -1}, false},
		{directory.SendLimit{Messages: 6, NewRecipients: -1}, true},
		{directory.SendLimit{Messages: -1, NewRecipients: -1}, false},
	} {
		_, err := h.dir.SetAccount(ctx, ben.ID, func(a *directory.Account) { a.Send = s.own }, nil)
		must(t, err)
		tx := h.send(&Session{Origin: FromSubmission, Account: &ben}, "ben@demo.test", []string{fmt.Sprintf("new%d@far.test", i)}, "From: ben@demo.test\r\n\r\nhello\r\n")
		r := tx.Accept(ctx)
		tx.Close()
		if held := strings.Contains(r.Text, "held"); !r.Positive() || held != s.held {
			t.Errorf("%d: %+v: held %v (%v)", i, s.own, held, r)
		}
	}
	if got := (Caps{}).number(noLimit) + (Caps{}).number(7); got != "any number of7" {
		t.Error(got)
	}
}

// What is to be held goes to the queue as such, whoever it is for.
func TestHeldUntil(t *testing.T) {
	h := newHouse(t, nil)
	ctx := context.Background()
	tx := h.svc.Begin(&Session{Origin: FromSubmission, Account: &h.ada}, mail.Envelope{ReversePath: addr("ada@demo.test"), HoldUntil: time.Unix(1.9e9, 0)})
	defer tx.Close()
	for _, to := range []string{"ben@demo.test", "one@far.test"} {
		if r := tx.Recipient(ctx, mail.Recipient{Address: addr(to)}); !r.Positive() {
			t.Fatal(r)
		}
	}
	if r := tx.Open(ctx); r.Code != 0 {
		t.Fatal(r)
	}
	_, _ = tx.Write([]byte("From: ada@demo.test\r\n\r\n"))
	if r := tx.Accept(ctx); !r.Positive() {
		t.Fatal(r)
	}
	h.wantMail(0, 0, 1)
	if got := h.queued()[0]; !strings.Contains(got, "to=ben@demo.test") || !strings.Contains(got, "to=one@far.test") {
		t.Error(got)
	}
}
