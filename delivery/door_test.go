package delivery

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/dnsbl"
	"posthouse/store"
)

// admitted begins a message from a client and returns what it is told before its bytes.
func (c *checked) admitted(sess *Session, sender string) (*Transaction, mail.Reply) {
	c.t.Helper()
	env := mail.Envelope{TraceID: "id"}
	if sender != "" {
		env.ReversePath = addr(sender)
	}
	tx := c.svc.Begin(sess, env)
	c.t.Cleanup(tx.Close)
	if r := tx.Sender(c.t.Context()); !r.Positive() {
		return tx, r
	}
	tx.Recipient(c.t.Context(), mail.Recipient{Address: addr("ada@demo.test")})
	return tx, tx.Open(c.t.Context())
}

// RFC 7505 §4.2: who takes no mail sends none; and nobody can answer who is not in DNS.
func TestSenderDomain(t *testing.T) {
	for _, tt := range []struct {
		sender, enforced string
		result           string
	}{
		{"eve@far.test", "", "pass"},
		{"eve@plain.test", "", "pass"}, // an address is enough, RFC 5321 §5.1
		{"", "", ""},
		{"eve@[192.0.2.1]", "", ""},
		{"eve@null.test", "550 5.7.27", "fail"},
		{"eve@nowhere.test", "450 4.1.8", "fail"},
		{"eve@flaky.test", "", "temperror"},
		{"eve@dead.test", "", "temperror"},
	} {
		limit := func(*Checks) {}
		if tt.sender == "eve@dead.test" {
			limit = impatient
		}
		c := newChecked(t, limit)
		tx, r := c.admitted(at(good), tt.sender)
		if (tt.enforced == "") != (r.Code == 0) || !strings.HasPrefix(r.String(), tt.enforced) && tt.enforced != "" {
			t.Errorf("%s: %v, want %q", tt.sender, r, tt.enforced)
		}
		got := ""
		for _, f := range tx.checked {
			if f.Check == "sender" {
				got = f.Result
			}
		}
		if got != tt.result {
			t.Errorf("%s: %+v, want %q", tt.sender, tx.checked, tt.result)
		}
		c = newChecked(t, func(c *Checks) {
			limit(c)
			c.Mode = MarkOnly
		})
		if _, r := c.admitted(at(good), tt.sender); r.Code != 0 {
			t.Errorf("%s, marked only: %v", tt.sender, r)
		}
	}
}

// What a name is worth, and that it refuses nobody by itself (RFC 5321 §4.1.4).
func TestHello(t *testing.T) {
	for _, tt := range []struct {
		hello, want string
		pause       bool
	}{
		{"mx.far.test", "pass", false}, {"plain.test", "exists", false}, {"nowhere.test", "unknown", false}, {"localhost", "no full name", false},
		{"MX.demo.test.", "our name", true}, {"192.0.2.1", "an address without brackets", true}, {"[192.0.2.1]", "pass", false},
		{"[192.0.2.2]", "another address", true}, {"[IPv6:2001:db8::1]", "another address", true}, {"flaky.test", "temperror", false},
	} {
		c := newChecked(t, func(c *Checks) { c.Pause = time.Second })
		sess := at(good)
		sess.Hello = tt.hello
		tx, r := c.admitted(sess, "eve@far.test")
		if r.Code != 0 || tx.checked[0].Check != "helo" || tx.checked[0].Result != tt.want || (tx.Pause() > 0) != tt.pause || tx.Pause() > maxPause {
			t.Errorf("%s: %v, %+v, pause %v", tt.hello, r, tx.checked, tx.Pause())
		}
	}
	c := newChecked(t, nil)
	sess := at("10.0.0.1") // somebody we know stands there
	sess.Hello = "localhost"
	if tx, r := c.admitted(sess, "eve@far.test"); r.Code != 0 || len(tx.checked) != 1 || c.dns.Queries("1.0.0.10.in-addr.arpa", "PTR") != 0 {
		t.Errorf("%v, %+v", r, tx.checked)
	}
}

// One question for a session, not for each message; another name is asked anew.
func TestPeerIsAskedOnce(t *testing.T) {
	c := newChecked(t, nil)
	sess := at(good)
	c.svc.Meet(t.Context(), sess)
	for range 3 {
		c.admitted(sess, "eve@far.test")
	}
	one := sess.peer
	sess.Hello = "plain.test"
	c.svc.Meet(t.Context(), sess)
	c.admitted(sess, "eve@far.test")
	if sess.peer == one || sess.peer.iprev.Name != "mx.far.test" || sess.peer.helo != helloExists {
		t.Errorf("%+v", sess.peer)
	}
	if n := c.dns.Queries("1.2.0.192.in-addr.arpa", "PTR"); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// Several signs together make junk, many are refused; each stays with the message.
func TestWeights(t *testing.T) {
	for _, tt := range []struct {
		name, sender, text string
		early              bool
		list               int
		reply              string
		junk               uint32
	}{
		{"nothing", "eve@far.test", from("eve@far.test"), false, 0, "250", 0},
		{"one sign", "eve@plain.test", from("eve@plain.test"), false, 0, "250", 0},
		{"speaks first", "eve@far.test", from("eve@far.test"), true, 0, "250", 1},
		{"a list and a forged path", "eve@plain.test", from("eve@plain.test"), false, 2, "250", 1},
		{"a list that speaks for it", "eve@plain.test", from("eve@plain.test"), true, -9, "250", 0},
		{"many", "eve@plain.test", from("eve@plain.test"), true, 2, "550 5.7.1 This looks like junk: early fail, spf fail, x-dnsbl weight2", 0},
	} {
		c := newChecked(t, func(c *Checks) { c.Lists = []dnsbl.Zone{{Name: "grey.test", Weight: tt.list}} })
		sess := at("203.0.113.1")
		if tt.sender == "eve@far.test" {
			sess = at(good)
		}
		sess.Early = tt.early
		r := c.send(sess, tt.sender, []string{"ada@demo.test"}, tt.text).Accept(t.Context())
		if !strings.HasPrefix(r.String(), tt.reply) || c.junk() != tt.junk {
			t.Errorf("%s: %v, junk %d", tt.name, r, c.junk())
		}
	}
}

func TestFindingsStay(t *testing.T) {
	c := newChecked(t, nil)
	if r := c.send(at(good), "eve@far.test", []string{"ada@demo.test"}, from("eve@far.test")).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	a, err := c.st.Account(t.Context(), c.ada.ID)
	must(t, err)
	var got []mail.Finding
	must(t, a.View(t.Context(), func(v *store.View) error {
		box, err := v.Mailbox("INBOX")
		must(t, err)
		snap, err := v.Snapshot(box.ID)
		must(t, err)
		for _, row := range snap.Rows(0, 1) {
			e, err := v.Email(row.Email)
			must(t, err)
			got = e.Findings()
		}
		return nil
	}))
	want := []mail.Finding{{Check: "helo", Result: "pass", Text: "mx.far.test"}, {Check: "sender", Result: "pass"},
		{Check: "iprev", Result: "pass", Text: "mx.far.test, policy.iprev=192.0.2.1"}, {Check: "spf", Result: "pass", Text: "smtp.mailfrom=eve@far.test"},
		{Check: "dkim", Result: "none"}, {Check: "dmarc", Result: "pass", Text: "header.from=far.test"}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}

// DNS that says nothing about a peer holds it up for no longer than the limit.
func TestSilentPeer(t *testing.T) {
	c := newChecked(t, impatient)
	c.dns.SetFault("silent.test", "", dnstest.Fault{Silent: true})
	sess := &Session{Origin: FromMX, Hello: "silent.test", Remote: netip.MustParseAddr("192.0.2.9")}
	began := time.Now()
	_, r := c.admitted(sess, "eve@silent.test")
	if d := time.Since(began); r.Code != 0 || d > 20*time.Second {
		t.Errorf("%v after %v", r, d)
	}
}
