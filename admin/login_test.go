package admin

import (
	"net/netip"
	"strings"
	"testing"

	"posthouse/mail"
)

// refused runs an operation that must fail with a kind.
func refused(t *testing.T, s *System, op string, in any, kind mail.Kind) {
	t.Helper()
	var out any
	if err := s.Local().Call(t.Context(), op, in, &out); err == nil || mail.KindOf(err) != kind {
		t.Errorf("%s %+v: %v, want %v", op, in, err, kind)
	}
}

// Keys are added by fingerprint or by what holds them, and go by how they begin; a key that
// goes ends the sessions of its account.
func TestKeys(t *testing.T) {
	s := system(t)
	var ended []mail.AccountID
	s.Revoked = func(id mail.AccountID) { ended = append(ended, id) }
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	a := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ada@example.org"})
	one, two := strings.Repeat("0f3a", 16), "0f3b"+strings.Repeat("0000", 15)
	run[Key](t, s.Local(), "account.add-key", KeyAdd{Name: "ada@example.org", Fingerprint: strings.ToUpper(one), Label: "laptop"})
	run[Key](t, s.Local(), "account.add-key", KeyAdd{Name: "ada@example.org", Fingerprint: two})
	public := "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	run[Key](t, s.Local(), "account.add-key", KeyAdd{Name: "ada@example.org", Certificate: public})
	refused(t, s, "account.add-key", KeyAdd{Name: "ada@example.org", Fingerprint: one}, mail.Exists)
	refused(t, s, "account.add-key", KeyAdd{Name: "ada@example.org", Fingerprint: "0f3a"}, mail.Invalid)
	refused(t, s, "account.add-key", KeyAdd{Name: "ada@example.org", Certificate: "garbage"}, mail.Invalid)
	refused(t, s, "account.add-key", KeyAdd{Name: "ben@example.org", Fingerprint: one}, mail.NotFound)
	keys := run[Keys](t, s.Local(), "account.keys", Named{Name: "ada@example.org"}).Keys
	if len(keys) != 3 || keys[0].Fingerprint != one || keys[0].Label != "laptop" {
		t.Fatalf("%+v", keys)
	}
	refused(t, s, "account.remove-key", KeyRemove{Name: "ada@example.org", Fingerprint: "0f3"}, mail.Invalid)
	refused(t, s, "account.remove-key", KeyRemove{Name: "ada@example.org", Fingerprint: "ff"}, mail.NotFound)
	refused(t, s, "account.remove-key", KeyRemove{Name: "ada@example.org"}, mail.NotFound)
	if len(ended) != 0 {
		t.Error("sessions ended for nothing")
	}
	run[Key](t, s.Local(), "account.remove-key", KeyRemove{Name: "ada@example.org", Fingerprint: "0f3b"})
	if keys = run[Keys](t, s.Local(), "account.keys", Named{Name: "ada@example.org"}).Keys; len(keys) != 2 || len(ended) != 1 || ended[0] != mail.AccountID(a.ID) {
		t.Errorf("%+v, %v", keys, ended)
	}
}

// Bans are listed and taken away, by an address in the network too.
func TestBanOperations(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	if b := run[Bans](t, s.Local(), "ban.list", None{}).Bans; len(b) != 0 {
		t.Fatal(b)
	}
	for range 10 {
		_, _ = s.Directory.Authenticate(t.Context(), "ada@example.org", "wrong", netip.MustParseAddr("203.0.113.9"))
	}
	b := run[Bans](t, s.Local(), "ban.list", None{}).Bans
	if len(b) != 2 || b[0].Who != "203.0.113.9" || b[0].What != "refused" || b[0].Failed != 10 || b[1].Who != "ada@example.org" || b[1].What != "slow" {
		t.Fatalf("%+v", b)
	}
	refused(t, s, "ban.remove", Named{Name: "203.0.113.8"}, mail.NotFound)
	refused(t, s, "ban.remove", Named{Name: "nonsense"}, mail.Invalid)
	refused(t, s, "ban.remove", Named{Name: "ben@example.org"}, mail.NotFound)
	if b = run[Bans](t, s.Local(), "ban.remove", Named{Name: "203.0.113.0/24"}).Bans; len(b) != 1 {
		t.Errorf("%+v", b)
	}
	run[Bans](t, s.Local(), "ban.remove", Named{Name: "ADA@example.org"})
	if b = run[Bans](t, s.Local(), "ban.list", None{}).Bans; len(b) != 0 {
		t.Errorf("%+v", b)
	}
}
