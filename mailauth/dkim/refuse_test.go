package dkim_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/mailauth/dkim"
)

type noHash struct{}

func (noHash) HashFunc() crypto.Hash { return 0 }

func whole(b string) string { return b }

const plain = "From: a@example.org\r\n\r\n12345678\r\n"

// Signatures that must not pass, each with its reason.
func TestRefused(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	good := s.signWith(plain, "t=1", whole)
	if rs := verify(t, s.records, good, 1000); rs[0].Status != dkim.Pass {
		t.Fatalf("%+v", rs)
	}
	if rs := verify(t, s.records, plain, 1000); len(rs) != 0 {
		t.Fatalf("no signature: %+v", rs)
	}
	for _, tt := range []struct {
		old, new string
		want     dkim.Status
		reason   string
	}{
		{"v=1", "v=2", dkim.PermError, "unknown version"},
		{"v=1;", "", dkim.PermError, "unknown version"},
		{"a=ed25519-sha256", "a=rsa-sha1", dkim.PermError, "SHA-1 is not secure (RFC 8301)"},
		{"a=ed25519-sha256", "a=rsa-md5", dkim.PermError, "unsupported algorithm"},
		{"a=ed25519-sha256", "a=rsa-sha256", dkim.PermError, "the key is of another type"},
		{"d=example.org", "d=example.org;d=example.org", dkim.PermError, "a tag is there twice"},
		{"d=example.org", "d=exa mple.org", dkim.PermError, "malformed domain or selector"},
		{"d=example.org;", "", dkim.PermError, "a required tag is missing"},
		{"s=e", "s=" + strings.Repeat("a", 64), dkim.PermError, "malformed domain or selector"},
		{"s=e", "s=f", dkim.PermError, "no key record"},
		{"d=example.org;s=e", "d=example.org;s=fail", dkim.TempError, "the key could not be looked up"},
		{"h=from", "h=to", dkim.PermError, "the From field is not signed"},
		{"h=from", "h=from" + strings.Repeat(":x", 2000), dkim.PermError, "too many names in h="},
		{"t=1", "i=@example.net", dkim.PermError, "i= is not within d="},
		{"t=1", "i=@notexample.org", dkim.PermError, "i= is not within d="},
		{"t=1", "x=1700000000", dkim.Fail, "the signature has expired"},
		{"t=1", "t=5;x=4", dkim.PermError, "malformed number"},
		{"t=1", "l=x", dkim.PermError, "malformed number"},
		{"t=1", "q=dns/other", dkim.PermError, "unknown query method"},
		{"c=relaxed/relaxed", "c=relaxed/other", dkim.PermError, "unknown canonicalization"},
		{"bh=", "bh=AAAA", dkim.PermError, "bh= has the wrong size"},
		{"bh=", "bh=*", dkim.PermError, "malformed base64"},
		{"b=", "b=;-", dkim.PermError, "malformed tag list"},
		{"12345678", "1234567", dkim.Fail, "the body was changed"},
		{"From: a", "From: b", dkim.Fail, "the signature does not fit the header"},
	} {
		at := strings.LastIndex(good, tt.old)
		if !strings.Contains("12345678 From: a b=", tt.old) {
			at = strings.Index(good, tt.old)
		} else if tt.old == "b=" {
			at = strings.Index(good, ";b=") + 1
		}
		bad := good[:at] + tt.new + good[at+len(tt.old):]
		rs := verify(t, s.records, bad, 1000)
		if len(rs) != 1 || rs[0].Status != tt.want || rs[0].Reason != tt.reason {
			t.Errorf("%s → %s: %+v", tt.old, tt.new, rs)
		}
	}
}

func TestKeyRecords(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	msg := s.signWith(plain, "i=x@sub.example.org", whole)
	rec := s.txt["e._domainkey.example.org"][0]
	_, p, _ := strings.Cut(rec, "p=")
	for _, tt := range []struct {
		records []string
		want    string
	}{
		{[]string{rec}, ""},
		{[]string{"k=ed25519; p=" + p}, ""},
		{[]string{"v=DKIM1; k=ed25519; h=sha1:sha256; s=tlsrpt:email; t=y; n=note; p=" + p + ";"}, ""},
		{[]string{"v=DKIM1; k=ed25519; p=" + p[:5] + " \t" + p[5:]}, ""},
		{[]string{"v=spf1 -all", rec}, ""},
		{[]string{rec, rec}, "several key records"},
		{[]string{"v=DKIM2; k=ed25519; p=" + p}, "unknown version of key record"},
		{[]string{"k=ed25519; v=DKIM1; p=" + p}, "unknown version of key record"},
		{[]string{"v=DKIM1; k=ed25519; t=s; p=" + p}, "i= must have the domain of d="},
		{[]string{"v=DKIM1; k=ed25519; h=sha1; p=" + p}, "the key does not allow this hash"},
		{[]string{"v=DKIM1; k=ed25519; s=tlsrpt; p=" + p}, "the key is not for mail"},
		{[]string{"v=DKIM1; k=ed448; p=" + p}, "unknown type of key"},
		{[]string{"v=DKIM1; k=ed25519; p="}, "the key is revoked"},
		{[]string{"v=DKIM1; k=ed25519"}, "malformed key record"},
		{[]string{"v=DKIM1; k=ed25519; p=" + p[:8]}, "malformed key record"},
		{[]string{"v=DKIM1; p=" + p}, "malformed key record"},
		{[]string{"v=DKIM1; n=" + strings.Repeat("x", 5000) + "; p=" + p}, "the key record is too long"},
		{[]string{"x"}, "malformed key record"},
	} {
		rs := verify(t, records{txt: map[string][]string{"e._domainkey.example.org": tt.records}}, msg, 1000)
		if (rs[0].Status == dkim.Pass) != (tt.want == "") || rs[0].Reason != tt.want {
			t.Errorf("%.80q: %+v", tt.records, rs)
		}
		if tt.want == "" && rs[0].Testing != strings.Contains(tt.records[0], "t=y") {
			t.Errorf("%.80q: testing is %v", tt.records, rs[0].Testing)
		}
	}
}

func TestKeySizes(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	signed := s.sign(t, plain, "")
	record := func(bits int) []string { // with a modulus of so many bits; no signature fits it
		n := make([]byte, bits/8)
		for i := range n {
			n[i] = 0xff
		}
		pub := &rsa.PublicKey{E: 65537, N: s.keys[0].Key.Public().(*rsa.PublicKey).N}
		pub.N = pub.N.SetBytes(n)
		der := x509.MarshalPKCS1PublicKey(pub)
		return []string{"p=" + base64.StdEncoding.EncodeToString(der)}
	}
	for bits, want := range map[int]string{512: "the key is too short", 1016: "the key is too short", 4104: "the key is too large", 8192: "the key is too large",
		4096: "the signature does not fit the header"} {
		rs := verify(t, records{txt: map[string][]string{"r._domainkey.example.org": record(bits)}}, signed, 1000)
		if rs[0].Reason != want {
			t.Errorf("%d bits: %+v", bits, rs[0])
		}
	}
	for _, bits := range []int{1024, 4096} {
		s := newSigner(t, "example.org", bits)
		if rs := verify(t, s.records, s.sign(t, plain, ""), 1000); rs[0].Status != dkim.Pass || rs[0].Bits != bits {
			t.Errorf("%d bits: %+v", bits, rs)
		}
	}
}

// What is too much is not looked at, and costs little.
func TestLimits(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	var n atomic.Int64
	s.queries = &n
	signed := s.signWith(plain, "t=1", whole)
	sig := signed[:len(signed)-len(plain)]
	if rs := verify(t, s.records, strings.Repeat(sig, 100)+plain, 1000); len(rs) != 10 || n.Load() > 10 {
		t.Errorf("%d results, %d queries", len(rs), n.Load())
	}
	if rs := verify(t, s.records, strings.Repeat("X: y\r\n", 10_001)+signed, 1000); rs[0].Reason != "the header is too long" {
		t.Errorf("many fields: %+v", rs)
	}
	if rs := verify(t, s.records, "X: "+strings.Repeat("y", 1<<20)+"\r\n"+signed, 5000); rs[0].Reason != "the header is too long" {
		t.Errorf("long header: %+v", rs)
	}
	// Ten signatures with different l= over a long body: one pass.
	var b strings.Builder
	for i := range 10 {
		b.WriteString(strings.Replace(sig, "t=1", fmt.Sprintf("l=%d", 1000*i), 1))
	}
	names := strings.Repeat(":x", 990)
	many := strings.Repeat(strings.Replace(sig, "h=from", "h=from"+names, 1), 10)
	lines := strings.Repeat("X: y\r\n", 9000)
	began := time.Now()
	verify(t, s.records, b.String()+plain+strings.Repeat("x \r\n", 1<<20), 1<<16)
	verify(t, s.records, many+lines+plain, 1<<16)
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestKeysAreKept(t *testing.T) {
	s := newSigner(t, "example.org", 1024)
	var n atomic.Int64
	s.queries = &n
	at := now()
	keys := dkim.NewKeys(s.records, func() time.Time { return at })
	for range 3 {
		m := dkim.NewMessage(dkim.Limits{}, false)
		write(m, s.sign(t, plain, ""), 1000)
		m.Verify(t.Context(), keys)
	}
	if n.Load() != 2 {
		t.Errorf("%d queries", n.Load())
	}
	at = at.Add(2 * time.Hour)
	m := dkim.NewMessage(dkim.Limits{}, false)
	write(m, s.sign(t, plain, ""), 1000)
	if rs := m.Verify(t.Context(), keys); n.Load() != 4 || rs[0].Status != dkim.Pass {
		t.Errorf("%d queries; %+v", n.Load(), rs)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(crlf(rfc8463)), byte(7))
	f.Add([]byte("DKIM-Signature: v=1\r\nARC-Message-Signature: i=1\r\n\r\n\r\nx \r"), byte(1))
	for _, b := range bodies {
		f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; l=3; d=a; s=b; h=from; bh=; b=\r\n\r\n"+b), byte(3))
	}
	f.Fuzz(func(t *testing.T, msg []byte, chunk byte) {
		one := verify(t, rfc8463Keys, string(msg), len(msg)+1)
		two := verify(t, rfc8463Keys, string(msg), int(chunk)+1)
		if fmt.Sprint(one) != fmt.Sprint(two) {
			t.Errorf("whole %+v, in chunks %+v", one, two)
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add("v=1; a=b;")
	f.Add(";")
	f.Fuzz(func(_ *testing.T, s string) {
		tags, err := dkim.ParseTags([]byte(s))
		if err == nil {
			tags.Value("v")
		}
	})
}

// FuzzKeyRecord also proves that no record makes a verifier fall over.
func FuzzKeyRecord(f *testing.F) {
	for _, r := range rfc8463Keys.txt {
		f.Add(r[0])
	}
	f.Fuzz(func(t *testing.T, rec string) {
		verify(t, records{txt: map[string][]string{"test._domainkey.football.example.com": {rec}}}, crlf(rfc8463), 10000)
	})
}

func BenchmarkVerify(b *testing.B) {
	s := newSigner(b, "example.org", 2048)
	body := strings.Repeat("The quick brown fox jumps over the lazy dog, and then sleeps.\r\n", 130)
	msg := []byte(s.sign(b, "From: A <a@example.org>\r\nTo: b@example.net\r\nSubject: s\r\n\r\n"+body, ""))
	keys := dkim.NewKeys(s.records, now)
	for _, verify := range []bool{false, true} {
		b.Run(fmt.Sprintf("keys=%v", verify), func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				m := dkim.NewMessage(dkim.Limits{}, false)
				_, _ = m.Write(msg)
				m.Finish()
				if verify && m.Verify(b.Context(), keys)[0].Status != dkim.Pass {
					b.Fatal("no pass")
				}
			}
		})
	}
}
