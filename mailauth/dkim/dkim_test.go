package dkim_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"posthouse/dns"
	"posthouse/mailauth/dkim"
)

// records is a resolver of TXT records; a name that ends in "fail" fails.
type records struct {
	txt     map[string][]string
	queries *atomic.Int64
}

func (r records) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	if r.queries != nil {
		r.queries.Add(1)
	}
	if strings.HasPrefix(name, "fail.") {
		return dns.Answer[string]{}, &dns.Error{Name: name, Type: "TXT", Err: dns.ErrTemporary}
	}
	v, ok := r.txt[name]
	if !ok {
		return dns.Answer[string]{}, &dns.Error{Name: name, Type: "TXT", Err: dns.ErrNotExist}
	}
	return dns.Answer[string]{Records: v, Name: name, Expires: now().Add(time.Hour)}, nil
}
func (records) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) { panic("MX") }
func (records) LookupAddr(context.Context, string) (dns.Answer[netip.Addr], error) {
	panic("address")
}
func (records) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) { panic("PTR") }
func (records) LookupTLSA(context.Context, string) (dns.Answer[dns.TLSA], error)  { panic("TLSA") }

func now() time.Time { return time.Unix(1_800_000_000, 0) }

func verify(t testing.TB, r records, msg string, chunk int) []dkim.Result {
	t.Helper()
	m := dkim.NewMessage(dkim.Limits{}, false)
	write(m, msg, chunk)
	return m.Verify(t.Context(), dkim.NewKeys(r, now))
}

func write(m *dkim.Message, msg string, chunk int) {
	for len(msg) > 0 {
		n := min(chunk, len(msg))
		_, _ = m.Write([]byte(msg[:n]))
		msg = msg[n:]
	}
	m.Finish()
}

const rfc8463 = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`

var rfc8463Keys = records{txt: map[string][]string{
	"brisbane._domainkey.football.example.com": {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
	"test._domainkey.football.example.com": {"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" +
		"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"},
}}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// The example of RFC 8463 §A.3, whole and byte by byte, and with each of its parts
// changed.
func TestRFC8463(t *testing.T) {
	msg := crlf(rfc8463)
	for _, chunk := range []int{1, 7, len(msg)} {
		rs := verify(t, rfc8463Keys, msg, chunk)
		if len(rs) != 2 || rs[0].Status != dkim.Pass || rs[1].Status != dkim.Pass || rs[1].Bits != 1024 || rs[0].B != "/gCrinpc" || rs[0].Identity != "@football.example.com" {
			t.Fatalf("chunks of %d: %+v", chunk, rs)
		}
	}
	for _, tt := range []struct{ name, old, new, reason string }{
		{"body", "hungry", "thirsty", "the body was changed"},
		{"field", "Subject: Is", "Subject: Was", "the signature does not fit the header"},
		{"second From", "From: Joe", "From: Eve <eve@example.org>\r\nFrom: Joe", "the signature does not fit the header"},
		{"space that does not count", "lost the game.  Are", "lost \t the  game. Are", ""},
		{"lines at the end", "Joe.\r\n", "Joe.\r\n\r\n\r\n", ""},
		{"case and folding", "Subject: Is dinner", "SUBJECT  : Is\r\n\tdinner", ""},
	} {
		rs := verify(t, rfc8463Keys, strings.Replace(msg, tt.old, tt.new, 1), 1000)
		for _, r := range rs {
			if (r.Status == dkim.Pass) != (tt.reason == "") || r.Reason != tt.reason {
				t.Errorf("%s: %+v", tt.name, r)
			}
		}
	}
}

// A signer with its keys and their records.
type signer struct {
	keys []dkim.SigningKey
	records
}

func newSigner(t testing.TB, domain string, bits int) *signer {
	t.Helper()
	rk, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	_, ek, _ := ed25519.GenerateKey(rand.Reader)
	s := &signer{[]dkim.SigningKey{{Domain: domain, Selector: "r", Key: rk}, {Domain: domain, Selector: "e", Key: ek}}, records{txt: map[string][]string{}}}
	for _, k := range s.keys {
		rec, err := k.Record()
		if err != nil {
			t.Fatal(err)
		}
		s.txt[k.Name()] = []string{rec}
	}
	return s
}

func (s *signer) sign(t testing.TB, msg, prefix string) string {
	t.Helper()
	m := dkim.NewMessage(dkim.Limits{}, true)
	write(m, msg, 1000)
	var out []byte
	var err error
	for _, k := range s.keys {
		if out, err = m.AppendSignature(out, []byte(prefix), k, now()); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.SplitSeq(string(out), "\r\n") {
		if len(line) > 78 {
			t.Errorf("line of %d characters: %q", len(line), line)
		}
	}
	return string(out) + prefix + msg
}

// bodies that exercise every turn of the canonicalisations.
var bodies = []string{"", "\r\n", "x", "x\r\n", "x\r\n\r\n\r\n", " \r\n", "\t\r\n\r\n", " a \t b \r\n\tc\r\n \r\n  \r\nd", "\r\n\r\nx \r\n", "a\rb\r\n",
	"a \r b\r\n", "a\nb \n\r\n", "a\r", "\r", "\r\r\n", "é \x00 \x01\r\n", strings.Repeat("\r\n", 3000) + "end\r\n\r\n", strings.Repeat("0123456789 ", 2000) + "\r\n"}

// What we sign, go-msgauth verifies and so do we; and nobody can add to it.
func TestSign(t *testing.T) {
	s := newSigner(t, "example.org", 2048)
	head := "From: A <a@example.org>\r\nto: b@example.net,\r\n c@example.net\r\nSubject:  a  \t b\r\nX-Other: x\r\nReceived: y\r\n"
	for _, body := range bodies {
		if strings.ContainsAny(strings.ReplaceAll(body, "\r\n", ""), "\r\n") {
			continue // go-msgauth counts bare CR and LF otherwise
		}
		signed := s.sign(t, head+"\r\n"+body, "Date: Mon, 23 Nov 2026 06:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n")
		for _, r := range verify(t, s.records, signed, 3) {
			if r.Status != dkim.Pass {
				t.Errorf("%q: %+v", body, r)
			}
		}
		vs, err := msgauth.VerifyWithOptions(strings.NewReader(signed), &msgauth.VerifyOptions{LookupTXT: func(n string) ([]string, error) { return s.txt[n], nil }})
		if err != nil || len(vs) != 2 || vs[0].Err != nil || vs[1].Err != nil {
			t.Errorf("go-msgauth on %q: %+v, %v", body, vs, err)
		}
		for _, add := range []string{"Subject: c\r\n", "From: e@example.org\r\n", "Cc: e@example.org\r\n", "Content-Type: text/html\r\n", "Reply-To: e@example.org\r\n"} {
			for _, r := range verify(t, s.records, add+signed, 1000) {
				if r.Status != dkim.Fail {
					t.Errorf("with %q: %+v", add, r)
				}
			}
		}
	}
}

// What go-msgauth signs, in every canonicalisation, we verify.
func TestSignedElsewhere(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	for _, body := range bodies {
		if strings.ContainsAny(strings.ReplaceAll(body, "\r\n", ""), "\r\n") {
			continue
		}
		msg := "From: a@example.org\r\nSubject: a  \t b \r\nX: \r\nX: y\r\nX:\tz\r\n  z\r\n\r\n" + body
		for i := range 8 {
			canon := func(bit int) msgauth.Canonicalization {
				return []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed}[i>>bit&1]
			}
			k := s.keys[i>>2]
			var out bytes.Buffer
			err := msgauth.Sign(&out, strings.NewReader(msg), &msgauth.SignOptions{Domain: k.Domain, Selector: k.Selector, Signer: k.Key,
				HeaderCanonicalization: canon(0), BodyCanonicalization: canon(1), HeaderKeys: []string{"From", "Subject", "X", "X", "X", "From"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, chunk := range []int{1, 2, 1000} {
				if rs := verify(t, s.records, out.String(), chunk); len(rs) != 1 || rs[0].Status != dkim.Pass {
					t.Errorf("case %d, body %q, chunk %d: %+v", i, body, chunk, rs)
				}
			}
		}
	}
}

// signWith signs msg by hand, with tags of one's own.
func (s *signer) signWith(msg, tags string, canon func(string) string) string {
	sum := sha256.Sum256([]byte(canon(msg[strings.Index(msg, "\r\n\r\n")+4:])))
	head := "v=1;a=ed25519-sha256;d=example.org;s=e;c=relaxed/relaxed;h=from;bh=" + base64.StdEncoding.EncodeToString(sum[:]) + ";" + tags + ";b="
	from := msg[strings.Index(msg, "From: ")+6 : strings.Index(msg, "\r\n")]
	digest := sha256.Sum256([]byte("from:" + from + "\r\ndkim-signature:" + head))
	sig, _ := s.keys[1].Key.Sign(nil, digest[:], noHash{})
	return "DKIM-Signature: " + head + base64.StdEncoding.EncodeToString(sig) + "\r\n" + msg
}

func TestBodyLength(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	first := func(n int) func(string) string { return func(b string) string { return b[:n] } }
	for _, tt := range []struct {
		l    int
		want dkim.Status
		why  string
	}{
		{10, dkim.Pass, ""}, // all of it
		{5, dkim.Policy, "part of the body is not signed"},
		{0, dkim.Policy, "part of the body is not signed"},
	} {
		msg := s.signWith("From: a@example.org\r\n\r\n12345678\r\n", fmt.Sprintf("l=%d", tt.l), first(tt.l))
		for _, chunk := range []int{1, 1000} {
			if rs := verify(t, s.records, msg, chunk); rs[0].Status != tt.want || rs[0].Reason != tt.why {
				t.Errorf("l=%d: %+v", tt.l, rs)
			}
		}
	}
	msg := s.signWith("From: a@example.org\r\n\r\n12345678\r\n", "l=11", first(10))
	if rs := verify(t, s.records, msg, 1000); rs[0].Reason != "l= is larger than the body" || rs[0].Status != dkim.Fail {
		t.Errorf("%+v", rs)
	}
}
