package directory

import (
	"net/netip"
	"testing"
	"time"

	"posthouse/mail"
)

// fails makes n wrong guesses.
func fails(t *testing.T, d *Directory, login string, from netip.Addr, n int) {
	t.Helper()
	for range n {
		_, err := d.Authenticate(t.Context(), login, "wrong", from)
		wantKind(t, err, mail.Denied)
	}
}

// A ban is seen, says how long, and can be taken away.
func TestBans(t *testing.T) {
	d, c, _, _ := house(t)
	ctx := t.Context()
	d.strangers.wait = 0
	if len(d.Bans()) != 0 {
		t.Fatal(d.Bans())
	}
	fails(t, d, "ada@example.org", stranger, 10)
	bans := d.Bans()
	if len(bans) != 2 || bans[0].Network != netip.MustParsePrefix("203.0.113.9/32") || bans[0].Until != c.Now().Add(time.Minute) || bans[0].Day != 10 ||
		bans[1].Account != addr("ada@example.org") {
		t.Fatalf("%+v", bans)
	}
	_, err := d.Authenticate(ctx, "ben@example.org", "geheim", stranger)
	wantKind(t, err, mail.Unavailable)
	_, err = prove(t, d, "ben@example.org", "", "geheim", stranger)
	wantKind(t, err, mail.Unavailable)
	if s := d.LoginStats(); s.Banned != 1 || s.Refused != 2 {
		t.Errorf("%+v", s)
	}
	if got := d.Forgive(netip.MustParsePrefix("203.0.113.9/32")); len(got) != 1 {
		t.Error(got)
	}
	if !d.ForgiveAccount(addr("ADA@example.org")) || d.ForgiveAccount(addr("ada@example.org")) {
		t.Error("the account was not forgiven once")
	}
	must(d.Authenticate(ctx, "ben@example.org", "geheim", stranger))(t)
	if len(d.Bans()) != 0 || len(d.Forgive(netip.MustParsePrefix("0.0.0.0/0"))) != 0 {
		t.Error(d.Bans())
	}
	// A day's failures ban for the day.
	for range 10 {
		c.advance(time.Minute)
		fails(t, d, "x@example.org", stranger, 10)
	}
	c.advance(time.Minute)
	if bans = d.Bans(); len(bans) != 1 || bans[0].Until.Sub(c.Now()) < 23*time.Hour {
		t.Errorf("%+v", bans)
	}
	c.advance(24 * time.Hour)
	must(d.Authenticate(ctx, "ada@example.org", "secret", stranger))(t)
}

// Many addresses of one network are a network.
func TestWideBan(t *testing.T) {
	d, _, _, _ := house(t)
	d.strangers.wait = 0
	for i := range 10 {
		fails(t, d, "ada@example.org", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 5)
	}
	_, err := d.Authenticate(t.Context(), "ada@example.org", "secret", netip.MustParseAddr("198.51.100.200"))
	wantKind(t, err, mail.Unavailable)
	must(d.Authenticate(t.Context(), "ada@example.org", "secret", netip.MustParseAddr("198.51.101.1")))(t)
	if bans := d.Bans(); bans[0].Network != netip.MustParsePrefix("198.51.100.0/24") {
		t.Errorf("%+v", bans)
	}
	if got := d.Forgive(netip.MustParsePrefix("198.51.100.7/32")); len(got) != 1 {
		t.Error(got)
	}
	must(d.Authenticate(t.Context(), "ben@example.org", "geheim", netip.MustParseAddr("198.51.100.200")))(t)
}

// While an address is banned, who logged in from it before gets in with the right
// password, remembered or not, by proof too, and does not get more guesses than
// before.
func TestRightPasswordUnderBan(t *testing.T) {
	d, c, _, ben := house(t)
	ctx := t.Context()
	d.strangers.wait = 0
	must(d.Authenticate(ctx, "ben@example.org", "geheim", stranger))(t)
	fails(t, d, "ada@example.org", stranger, 10)
	must(d.Authenticate(ctx, "ben@example.org", "geheim", stranger))(t)
	must(prove(t, d, "ben@example.org", "", "geheim", stranger))(t)
	if err := d.SetPassword(ctx, ben.ID, "new"); err != nil {
		t.Fatal(err)
	}
	must(d.Authenticate(ctx, "ben@example.org", "new", stranger))(t)
	c.advance(2 * time.Minute)
	fails(t, d, "ada@example.org", stranger, 10)
	fails(t, d, "ben@example.org", stranger, 10) // a neighbour guesses
	_, err := d.Authenticate(ctx, "ben@example.org", "wrong", stranger)
	wantKind(t, err, mail.Unavailable)
	_, err = d.Authenticate(ctx, "ada@example.org", "secret", stranger)
	wantKind(t, err, mail.Unavailable) // never came from there
	c.advance(time.Minute)
	must(d.Authenticate(ctx, "ben@example.org", "new", stranger))(t)
}

// The right password of somebody at whom many guess is as slow as a wrong one where the
// user never was, remembered or not: speed tells nothing.
func TestSpeedTellsNothing(t *testing.T) {
	d, _, _, _ := house(t)
	d.strangers.wait = 30 * time.Millisecond
	must(d.Authenticate(t.Context(), "ada@example.org", "secret", stranger))(t)
	for i := range 10 {
		fails(t, d, "ada@example.org", netip.AddrFrom4([4]byte{198, 51, byte(i), 1}), 1)
	}
	began := time.Now()
	must(d.Authenticate(t.Context(), "ada@example.org", "secret", netip.MustParseAddr("192.0.2.7")))(t)
	if time.Since(began) < d.strangers.wait {
		t.Error("a right guess is fast")
	}
	if d.LoginStats().Slowed == 0 {
		t.Error("nothing was slowed")
	}
}
