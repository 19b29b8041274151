package directory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

var stranger = netip.MustParseAddr("203.0.113.9")

func TestAuthenticate(t *testing.T) {
	d, c, ada, _ := house(t)
	ctx := t.Context()
	for range 2 { // hashed, then remembered
		acct := must(d.Authenticate(ctx, " ADA@Example.org. ", "secret", stranger))(t)
		if acct.ID != ada.ID {
			t.Fatalf("%+v", acct)
		}
	}
	for _, bad := range [][2]string{{"ada@example.org", "wrong"}, {"ada@example.org", ""}, {"nobody@example.org", "secret"},
		{"ada", "secret"}, {"", ""}, {"ada@example.org", strings.Repeat("x", 5000)}, {"ada@[", "secret"}} {
		_, err := d.Authenticate(ctx, bad[0], bad[1], netip.Addr{})
		wantKind(t, err, mail.Denied)
		if mail.TextOf(err) != "wrong address or password" {
			t.Errorf("%q tells too much: %v", bad, err)
		}
	}
	if err := d.SetPassword(ctx, ada.ID, "new one"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Authenticate(ctx, "ada@example.org", "secret", stranger)
	wantKind(t, err, mail.Denied) // also what was remembered has ended
	must(d.Authenticate(ctx, "ada@example.org", "new one", stranger))(t)
	c.advance(2 * time.Hour)
	must(d.Authenticate(ctx, "ada@example.org", "new one", stranger))(t)
	must(d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	_, err = d.Authenticate(ctx, "ada@example.org", "new one", stranger)
	wantKind(t, err, mail.Denied)
}

func TestPasswordSpellings(t *testing.T) {
	d, _, ada, _ := house(t)
	ctx := t.Context()
	if err := d.SetPassword(ctx, ada.ID, "caf\u00e9 au lait"); err != nil {
		t.Fatal(err)
	}
	must(d.Authenticate(ctx, "ada@example.org", "cafe\u0301 au lait", stranger))(t)
	wantKind(t, d.SetPassword(ctx, ada.ID, ""), mail.Invalid)
	wantKind(t, d.SetPassword(ctx, ada.ID, strings.Repeat("x", maxPassword+1)), mail.TooLarge)
	wantKind(t, d.SetPassword(ctx, 99, "x"), mail.NotFound)
}

// An unknown address, a disabled account and one without password take the hash
// that a wrong password takes.
func TestFailureCostsTheSame(t *testing.T) {
	eng := mem.New()
	d, _ := open(t, eng)
	ctx := t.Context()
	must(d.AddDomain(ctx, "example.org"))(t)
	must(d.AddAccount(ctx, NewAccount{Address: addr("none@example.org")}, nil))(t)
	off := must(d.AddAccount(ctx, NewAccount{Address: addr("off@example.org"), Password: "x"}, nil))(t)
	must(d.SetAccount(ctx, off.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	// With the gate shut, whoever hashes must wait and fails as Unavailable.
	for range cap(d.hashing.slots) {
		d.hashing.slots <- struct{}{}
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	for _, login := range []string{"none@example.org", "off@example.org", "nobody@example.org", "x@elsewhere.org", "nonsense"} {
		_, err := d.Authenticate(short, login, "x", stranger)
		wantKind(t, err, mail.Unavailable)
	}
}

func TestHashGateIsBounded(t *testing.T) {
	g := newHashGate(1, cheap)
	leave := must(g.enter(t.Context()))(t)
	for range cap(g.waiters) {
		g.waiters <- struct{}{}
	}
	_, err := g.enter(t.Context())
	wantKind(t, err, mail.Unavailable)
	<-g.waiters
	done := make(chan error)
	go func() {
		leave, err := g.enter(context.Background())
		if err == nil {
			leave()
		}
		done <- err
	}()
	leave()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFailuresOfANetwork(t *testing.T) {
	d, c, _, _ := house(t)
	ctx := t.Context()
	must(d.Authenticate(ctx, "ben@example.org", "geheim", stranger))(t)
	for range 10 {
		_, err := d.Authenticate(ctx, "ada@example.org", "wrong", stranger)
		wantKind(t, err, mail.Denied)
	}
	_, err := d.Authenticate(ctx, "ada@example.org", "secret", stranger)
	wantKind(t, err, mail.Unavailable)
	must(d.Authenticate(ctx, "ben@example.org", "geheim", stranger))(t) // remembered
	must(d.Authenticate(ctx, "ada@example.org", "secret", netip.MustParseAddr("203.0.113.10")))(t)
	c.advance(time.Minute)
	must(d.Authenticate(ctx, "ada@example.org", "secret", stranger))(t)
	for range 30 { // loopback is never counted
		_, err := d.Authenticate(ctx, "ada@example.org", "wrong", netip.MustParseAddr("::ffff:127.0.0.1"))
		wantKind(t, err, mail.Denied)
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:2")
	if x, _ := network(a); !x.Contains(b) {
		t.Error("an IPv6 /64 is one network")
	}
}

func TestFailureTableIsBounded(t *testing.T) {
	f := newFailures(FailureLimits{})
	now := time.Unix(0, 0)
	for i := range maxFailureNets + 100 {
		f.add(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(f.nets) > maxFailureNets {
		t.Fatal(len(f.nets))
	}
}

func TestStoredHashIsBounded(t *testing.T) {
	for _, phc := range []string{"", "x", "$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=99,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=0$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$AAAA$AA"} {
		_, err := verify(phc, "x")
		wantKind(t, err, mail.Corrupt)
	}
	// RFC 9106 §5.3 has secret and data, which PHC strings have not; this vector is
	// the one of the reference implementation's test.c.
	ok := must(verify("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"))(t)
	if !ok {
		t.Error("the reference vector does not verify")
	}
}

func TestSuccessesAreBounded(t *testing.T) {
	d, c, _, _ := house(t)
	for i := range maxSuccesses + 10 {
		d.seen.add(d.seen.token(mail.AccountID(i), "x"), "phc", c.Now())
	}
	if len(d.seen.seen) > maxSuccesses {
		t.Fatal(len(d.seen.seen))
	}
}

func TestCorruptRecords(t *testing.T) {
	eng := mem.New()
	d, _ := open(t, eng)
	ctx := t.Context()
	must(d.AddDomain(ctx, "example.org"))(t)
	op := engine.Op{Kind: engine.Set, Key: addressKey(addr("x@example.org")), Val: []byte("{")}
	if _, err := eng.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{op}}).Wait(); err != nil {
		t.Fatal(err)
	}
	_, err := d.Resolve(ctx, addr("x@example.org"))
	wantKind(t, err, mail.Corrupt)
	_, err = d.Authenticate(ctx, "x@example.org", "x", stranger)
	wantKind(t, err, mail.Corrupt)
}

func TestNewPassword(t *testing.T) {
	a, b := NewPassword(), NewPassword()
	if a == b || len(a) != 23 || strings.Count(a, "-") != 3 {
		t.Fatal(a, b)
	}
}

// Guessing at one user from many networks becomes slow; the user's own network
// does not, and nobody is locked out.
func TestGuessingFromManyNetworks(t *testing.T) {
	d, c, _, _ := house(t)
	d.strangers.wait = 30 * time.Millisecond
	ctx := t.Context()
	must(d.Authenticate(ctx, "ada@example.org", "secret", stranger))(t)
	if err := d.SetPassword(ctx, 1, "new"); err != nil { // nothing is remembered, the network is
		t.Fatal(err)
	}
	guess := func(i int) time.Duration {
		began := time.Now()
		_, err := d.Authenticate(ctx, "ADA@example.org", "wrong", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
		wantKind(t, err, mail.Denied)
		return time.Since(began)
	}
	for i := range 10 {
		guess(i)
	}
	if took := guess(11); took < d.strangers.wait {
		t.Errorf("the eleventh guess took %v", took)
	}
	began := time.Now()
	must(d.Authenticate(ctx, "ada@example.org", "new", stranger))(t)
	if took := time.Since(began); took >= d.strangers.wait {
		t.Errorf("the user waited %v at home", took)
	}
	must(d.Authenticate(ctx, "ada@example.org", "new", netip.MustParseAddr("192.0.2.7")))(t) // slow, but in
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err := d.Authenticate(gone, "ada@example.org", "x", netip.MustParseAddr("192.0.2.8"))
	wantKind(t, err, mail.Unavailable)
	c.advance(time.Minute)
	if d.strangers.suspicious(addr("ada@example.org"), habit{}, c.Now()) {
		t.Error("still slow after a minute")
	}
}

func TestStrangersAreBounded(t *testing.T) {
	s := newStrangers(FailureLimits{PerUser: 10})
	for i := range maxGuessed + 100 {
		s.failed(addr(fmt.Sprintf("u%d@x.org", i)), time.Unix(0, 0))
	}
	for i := range maxHabits + 100 {
		s.succeeded(mail.AccountID(i), stranger)
	}
	if len(s.users) > maxGuessed || len(s.habits) > maxHabits {
		t.Error(len(s.users), len(s.habits))
	}
}
