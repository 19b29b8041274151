package delivery

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/arc"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dnsbl"
	"posthouse/store"
)

const senderZone = `
far.test.                 MX 10 mx.far.test.
soft.test.                MX 10 mx.far.test.
plain.test.               A 192.0.2.7
list.test.                MX 10 mx.far.test.
null.test.                MX 0 .
far.test.                 TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.far.test.          TXT "v=DMARC1; p=reject; sp=quarantine"
soft.test.                TXT "v=spf1 ip4:192.0.2.1 ~all"
_dmarc.soft.test.         TXT "v=DMARC1; p=quarantine"
plain.test.               TXT "v=spf1 -all"
_dmarc.flaky.test.        TXT "v=DMARC1; p=reject"
_dmarc.flakysoft.test.    TXT "v=DMARC1; p=quarantine"
_dmarc.xn--bcher-kva.test. TXT "v=DMARC1; p=reject"
1.2.0.192.in-addr.arpa.   PTR mx.far.test.
mx.far.test.              A 192.0.2.1
1.113.0.203.grey.test.    A 127.0.0.2
1.113.0.203.black.test.   A 127.0.0.2
2.113.0.203.grey.test.    A 127.0.0.2
3.113.0.203.grey.test.    A 127.0.0.2
3.113.0.203.white.test.   A 127.0.0.2
mx.far.test.              TXT "v=spf1 a -all"
`

// A checked house asks a real resolver about its senders.
type checked struct {
	*house
	dns  *dnstest.Server
	keys map[string]dkim.SigningKey
}

func newChecked(t *testing.T, change func(*Checks)) *checked {
	t.Helper()
	c := &checked{keys: map[string]dkim.SigningKey{}}
	zone := senderZone
	for _, domain := range []string{"far.test", "soft.test", "list.test", "stranger.test"} {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		k := dkim.SigningKey{Domain: domain, Selector: "s", Key: key}
		rec, err := k.Record()
		must(t, err)
		zone += k.Name() + ". TXT \"" + strings.ReplaceAll(rec, ";", "\\;") + "\"\n"
		c.keys[domain] = k
	}
	c.dns = dnstest.New(t, zone)
	for _, name := range []string{"flaky.test", "flakysoft.test", "_dmarc.broken.test"} {
		c.dns.SetFault(name, "", dnstest.ServFail)
	}
	for _, name := range []string{"dead.test", "_dmarc.dead.test", "s._domainkey.dead.test", "9.2.0.192.in-addr.arpa"} {
		c.dns.SetFault(name, "", dnstest.Fault{Silent: true})
	}
	checks := &Checks{Resolver: c.dns.Client(t, dns.Options{Timeout: time.Minute}), Timeout: 10 * time.Second, Sealers: []string{"List.test"}}
	if change != nil {
		change(checks)
	}
	c.house = newHouse(t, func(o *Options) { o.Checks = checks })
	a, err := c.st.Account(t.Context(), c.ada.ID)
	must(t, err)
	must(t, a.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.CreateMailbox(store.NewMailbox{Path: "Spam", Role: mail.RoleJunk})
		return err
	}))
	return c
}

func at(ip string) *Session {
	return &Session{Origin: FromMX, Hello: "mx.far.test", Extended: true, Remote: netip.MustParseAddr(ip)}
}

func (c *checked) sign(domain, message string) string {
	c.t.Helper()
	m := dkim.NewMessage(dkim.Limits{}, true)
	_, _ = m.Write([]byte(message))
	m.Finish()
	b, err := m.AppendSignature(nil, nil, c.keys[domain], time.Unix(1.8e9, 0))
	must(c.t, err)
	return string(b) + message
}

func (c *checked) junk() (n uint32) {
	c.t.Helper()
	a, err := c.st.Account(context.Background(), c.ada.ID)
	must(c.t, err)
	must(c.t, a.View(context.Background(), func(v *store.View) error {
		box, err := v.MailboxByRole(mail.RoleJunk)
		n = box.Messages
		return err
	}))
	return n
}

const (
	good = "192.0.2.1"
	bad  = "203.0.113.9"
)

func from(f string) string { return "From: " + f + "\r\nSubject: s\r\n\r\nbody\r\n" }

// impatient is for names that DNS never answers about.
func impatient(c *Checks) { c.Timeout = 100 * time.Millisecond }

// What DMARC makes of each sender, RFC 7489 §6.6.
func TestSenderPolicy(t *testing.T) {
	c := newChecked(t, nil)
	rows := []struct {
		name, ip, sender, message string
		reply                     string // its beginning
		junk                      bool
		results                   string // part of Authentication-Results; "" none at all
	}{
		{"confirmed by SPF", good, "eve@far.test", from("eve@far.test"), "250", false,
			"Authentication-Results: mx.demo.test;\r\n\tiprev=pass (mx.far.test) policy.iprev=192.0.2.1;\r\n\tspf=pass smtp.mailfrom=eve@far.test;\r\n\tdkim=none;\r\n\tdmarc=pass header.from=far.test\r\nReceived:"},
		{"confirmed by DKIM", bad, "eve@far.test", c.sign("far.test", from("Eve <eve@sub.far.test>")), "250", false, "dkim=pass header.d=far.test header.i=@far.test header.s=s header.a=ed25519-sha256 header.b="},
		{"forged", bad, "eve@plain.test", from("eve@far.test"), "550 5.7.1 Neither SPF nor DKIM confirms that this message is from far.test, and the DMARC policy of far.test says to reject such mail", false, ""},
		{"another's SPF", good, "eve@soft.test", from("eve@far.test"), "550 5.7.1", false, ""},
		{"another's signature", bad, "eve@far.test", c.sign("soft.test", from("eve@far.test")), "550 5.7.1", false, ""},
		{"signature broken", bad, "", strings.Replace(c.sign("far.test", from("eve@far.test")), "body", "other", 1), "550 5.7.1", false, ""},
		{"below the domain", bad, "", from("eve@x.far.test"), "250", true, "dmarc=fail (p=quarantine) header.from=x.far.test"},
		{"to be looked at", bad, "eve@soft.test", from("eve@soft.test"), "250", true, "spf=softfail smtp.mailfrom=eve@soft.test;"},
		{"no policy", bad, "eve@plain.test", from("eve@plain.test"), "250", false, "spf=fail smtp.mailfrom=eve@plain.test;\r\n\tdkim=none;\r\n\tdmarc=none header.from=plain.test"},
		{"null sender", good, "", from("eve@far.test"), "250", false, "spf=pass smtp.helo=mx.far.test;\r\n\tdkim=none;\r\n\tdmarc=pass"},
		{"no From", good, "eve@far.test", "Subject: s\r\n\r\nbody\r\n", "250", true, "dmarc=permerror reason=\"no one author domain\""},
		{"From that nobody can read", good, "eve@far.test", from("\"eve at far.test"), "250", true, "dmarc=permerror"},
		{"From that honest programs write", good, "eve@far.test", from("eve@far.test <eve@far.test>"), "250", false, "dmarc=pass header.from=far.test"},
		{"From of a company", good, "eve@far.test", from("Far, Inc. <eve@far.test>"), "250", false, "dmarc=pass header.from=far.test"},
		{"From with two faces", good, "eve@soft.test", from("ceo@far.test <eve@soft.test>"), "550 5.7.1", false, ""},
		{"From with two faces, quoted badly", good, "eve@soft.test", from("\"<ceo@far.test>\" \" <eve@soft.test>"), "550 5.7.1", false, ""},
		{"two From fields", good, "eve@far.test", "From: a@plain.test\r\n" + from("eve@far.test"), "550 5.6.0", false, ""},
		{"two authors, one forged", good, "eve@soft.test", from("eve@soft.test, eve@far.test"), "550 5.7.1", false, ""},
		{"many authors", good, "eve@far.test", from("a@a.test, a@b.test, a@c.test, a@d.test, a@e.test, a@f.test"), "250", true, "dmarc=permerror"},
		{"international", bad, "", from("Jörg <a@bücher.test>"), "550 5.7.1", false, ""},
		{"SPF cannot be had, reject", bad, "eve@flaky.test", from("eve@flaky.test"), "451 4.4.3", false, ""},
		{"SPF cannot be had, quarantine", bad, "eve@flakysoft.test", from("eve@flakysoft.test"), "250", false, "dmarc=temperror"},
		{"policy cannot be had", bad, "eve@plain.test", from("eve@broken.test"), "250", false, "dmarc=temperror header.from=broken.test"},
	}
	for round := range 2 { // the second from what the first has learnt
		queries := c.dns.Queries("far.test", "TXT")
		for _, tt := range rows {
			before, junkBefore := len(c.inbox("ada@demo.test")), c.junk()
			r := c.send(at(tt.ip), tt.sender, []string{"ada@demo.test"}, tt.message).Accept(t.Context())
			if !strings.HasPrefix(r.String(), tt.reply) {
				t.Errorf("%s: %v, want %s", tt.name, r, tt.reply)
			}
			inbox := c.inbox("ada@demo.test")
			if got := c.junk() > junkBefore; got != tt.junk || (len(inbox) > before) != (tt.results != "" && !tt.junk) {
				t.Errorf("%s: junk %v, inbox %d", tt.name, got, len(inbox)-before)
			}
			if tt.results != "" && !tt.junk && !strings.Contains(inbox[len(inbox)-1], tt.results) {
				t.Errorf("%s: %q lacks %q", tt.name, inbox[len(inbox)-1], tt.results)
			}
		}
		if asked := c.dns.Queries("far.test", "TXT") - queries; round == 1 && asked != 0 {
			t.Errorf("DNS was asked %d times for what it had said", asked)
		}
	}
}

// Who has no mailbox for junk gets it in the inbox; and where the operator only
// wants marks, nothing is refused.
func TestSenderMarks(t *testing.T) {
	c := newChecked(t, func(c *Checks) { c.Mode = MarkOnly })
	for _, m := range []string{from("eve@far.test"), from("eve@soft.test"), "From: a@a.test\r\n" + from("eve@far.test"), "X: y\r\n\r\n"} {
		if r := c.send(at(bad), "eve@far.test", []string{"ada@demo.test"}, m).Accept(t.Context()); !r.Positive() {
			t.Error(r)
		}
	}
	c.wantMail(4, 0, 0)
	if got := c.inbox("ada@demo.test")[0]; !strings.Contains(got, "dmarc=fail (p=reject) header.from=far.test") {
		t.Errorf("%q", got)
	}
	c = newChecked(t, nil)
	if r := c.send(at(bad), "", []string{"ben@demo.test", "ada@demo.test"}, from("eve@soft.test")).Accept(t.Context()); !r.Positive() || c.junk() != 1 {
		t.Error(r)
	}
	c.wantMail(0, 1, 0)
}

// A list that is trusted may change the message; a stranger who seals may not.
func TestTrustedSealer(t *testing.T) {
	c := newChecked(t, nil)
	seal := func(domain, dmarc, message string) string {
		m := dkim.NewMessage(dkim.Limits{}, true)
		_, _ = m.Write([]byte(message))
		m.Finish()
		keys := dkim.NewKeys(c.dns.Client(t, dns.Options{}), time.Now)
		results := authres.Results{Server: domain, Clauses: []authres.Clause{{Method: "dmarc", Result: dmarc}}}
		out, err := arc.Validate(t.Context(), m, keys).AppendSet(nil, nil, m, results, c.keys[domain], time.Unix(1.8e9, 0))
		must(t, err)
		return string(out) + message
	}
	changed := strings.Replace(c.sign("far.test", from("eve@far.test")), "body", "body\r\n-- \r\nthe list", 1)
	for _, tt := range []struct {
		name, message, reply string
	}{
		{"trusted", seal("list.test", "pass", changed), "250"},
		{"trusted, but it was wrong before", seal("list.test", "fail", changed), "550 5.7.1"},
		{"a stranger", seal("stranger.test", "pass", changed), "550 5.7.1"},
		{"a stranger after it", seal("stranger.test", "pass", seal("list.test", "pass", changed)), "550 5.7.1"},
		{"changed after it", strings.Replace(seal("list.test", "pass", changed), "the list", "the thief", 1), "550 5.7.1"},
	} {
		if r := c.send(at(bad), "list@list.test", []string{"ada@demo.test"}, tt.message).Accept(t.Context()); !strings.HasPrefix(r.String(), tt.reply) {
			t.Errorf("%s: %v", tt.name, r)
		}
	}
	got := c.inbox("ada@demo.test")
	if len(got) != 1 || !strings.Contains(got[0], "arc=pass (i=1 by list.test) smtp.remote-ip=203.0.113.9;") ||
		!strings.Contains(got[0], "dmarc=fail (p=reject) reason=\"confirmed by the ARC seal of list.test\" header.from=far.test") {
		t.Errorf("%q", got)
	}
}

func TestLists(t *testing.T) {
	for _, tt := range []struct {
		ip, reply string
		mode      CheckMode
		junk      uint32
		inbox     int
	}{
		{"203.0.113.1", "550 5.7.1 Mail from 203.0.113.1 is refused: it is listed by black.test", Enforce, 0, 0},
		{"203.0.113.1", "250", MarkOnly, 0, 1},
		{"203.0.113.2", "250", Enforce, 1, 0},
		{"203.0.113.3", "250", Enforce, 0, 1}, // somebody else speaks for it
	} {
		c := newChecked(t, func(c *Checks) {
			c.Mode = tt.mode
			c.Lists = []dnsbl.Zone{{Name: "grey.test", Weight: 5}, {Name: "black.test", Weight: 8}, {Name: "white.test", Weight: -5}}
		})
		r := c.send(at(tt.ip), "", []string{"ada@demo.test"}, from("a@none.test")).Accept(t.Context())
		if !strings.HasPrefix(r.String(), tt.reply) || c.junk() != tt.junk || len(c.inbox("ada@demo.test")) != tt.inbox {
			t.Errorf("%s: %v, junk %d", tt.ip, r, c.junk())
		}
		if tt.inbox > 0 && !strings.Contains(c.inbox("ada@demo.test")[0], "x-dnsbl=weight") {
			t.Errorf("%q", c.inbox("ada@demo.test"))
		}
	}
}

// What an address of ours leads elsewhere carries our seal on what we found; and the
// chain holds at the next server, which sees a broken SPF.
func TestForwardIsSealed(t *testing.T) {
	c := newChecked(t, nil)
	keys, err := c.dir.EnsureSigningKeys(t.Context(), "demo.test")
	must(t, err)
	parsed, err := parseKeys("demo.test", keys)
	must(t, err)
	rec, err := parsed[0].Record()
	must(t, err)
	message := c.sign("far.test", from("eve@far.test"))
	if r := c.send(at(bad), "eve@far.test", []string{"away@demo.test"}, "Authentication-Results: mx.demo.test; x=y\r\n"+message).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	_, prefix, _ := strings.Cut(c.queued()[0], "\n")
	full := prefix[:strings.LastIndex(prefix, "\r\n")+2] + message
	next := dnstest.New(t, parsed[0].Name()+". TXT \""+rec[:200]+"\" \""+rec[200:]+"\"\n")
	m := dkim.NewMessage(dkim.Limits{}, false)
	_, _ = m.Write([]byte(full))
	m.Finish()
	res := arc.Validate(t.Context(), m, dkim.NewKeys(next.Client(t, dns.Options{}), time.Now))
	if res.Status != arc.Pass || res.Seals[0].Domain != "demo.test" || res.Seals[0].Results.Result("dmarc") != "pass" || res.Seals[0].Results.Result("spf") != "fail" {
		t.Errorf("%+v\n%s", res, full)
	}
}

// DNS that never answers holds a message up for no longer than the limit, and loses
// none.
func TestSilentDNS(t *testing.T) {
	c := newChecked(t, impatient)
	began := time.Now()
	sig := "DKIM-Signature: v=1; a=ed25519-sha256; d=dead.test; s=s; h=from; bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA\r\n"
	tx := c.send(at("192.0.2.9"), "eve@dead.test", []string{"ada@demo.test"}, sig+from("eve@dead.test"))
	r := tx.Accept(t.Context())
	if d := time.Since(began); !r.Positive() || d > 20*time.Second {
		t.Errorf("%v after %v", r, d)
	}
	want := "iprev=temperror policy.iprev=192.0.2.9;\r\n\tspf=temperror reason=\"DNS failed\" smtp.mailfrom=eve@dead.test;\r\n\tdkim=temperror reason=\"the key could not be looked up\""
	if got := c.inbox("ada@demo.test"); len(got) != 1 || !strings.Contains(got[0], want) || !strings.Contains(got[0], "dmarc=temperror") {
		t.Errorf("%q", got)
	}
	// A transaction that ends early waits for nobody.
	began = time.Now()
	c.send(at("192.0.2.9"), "eve@dead.test", []string{"ada@demo.test"}, "").Close()
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("closing took %v", d)
	}
}

// Only strangers are asked; and nobody brings results in our name.
func TestWhoIsChecked(t *testing.T) {
	c := newChecked(t, nil)
	forged := "Authentication-Results: (x) MX.demo.test.;\r\n dmarc=pass\r\nAuthentication-Results: other.test; spf=pass\r\nauthentication-results : ;\r\n"
	for _, s := range []*Session{{Origin: FromLMTP, Remote: netip.MustParseAddr(bad)}, {Origin: FromServer}, {Origin: FromSubmission, Account: &c.ada}, at(good)} {
		sender := "ada@demo.test"
		if s.Origin == FromMX {
			sender = "eve@far.test"
		}
		if r := c.send(s, sender, []string{"ben@demo.test"}, forged+from(sender)).Accept(t.Context()); !r.Positive() {
			t.Error(s.Origin, r)
		}
	}
	for i, want := range []int{3, 3, 1, 2} {
		got := c.inbox("ben@demo.test")[i]
		if n := strings.Count(strings.ToLower(got), "authentication-results"); n != want || !strings.Contains(got, "Authentication-Results: other.test; spf=pass\r\n") {
			t.Errorf("%d: %q", i, got)
		}
	}
}

func TestLoopbackHasNoName(t *testing.T) {
	c := newChecked(t, nil)
	if r := c.send(at("127.0.0.1"), "", []string{"ada@demo.test"}, from("a@none.test")).Accept(t.Context()); !r.Positive() {
		t.Error(r)
	}
	if n := c.dns.Queries("1.0.0.127.in-addr.arpa", "PTR"); n != 0 {
		t.Errorf("%d queries", n)
	}
	if got := c.inbox("ada@demo.test")[0]; strings.Contains(got, "iprev") {
		t.Errorf("%q", got)
	}
}
