package dane_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/tlspolicy/dane"
)

// issue makes a certificate, by a parent or by itself.
func issue(t *testing.T, name string, ca bool, until time.Time, parent *x509.Certificate, by crypto.Signer) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-48 * time.Hour),
		NotAfter: until, IsCA: ca, BasicConstraintsValid: true, DNSNames: []string{name}}
	if parent == nil {
		parent, by = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func sum(b []byte) []byte { h := sha256.Sum256(b); return h[:] }

// RFC 7672 §3.1: what each kind of record accepts.
func TestVerify(t *testing.T) {
	now := time.Now()
	root, rootKey := issue(t, "root", true, now.Add(time.Hour), nil, nil)
	mid, midKey := issue(t, "mid", true, now.Add(time.Hour), root, rootKey)
	leaf, _ := issue(t, "mx.example", false, now.Add(time.Hour), mid, midKey)
	old, _ := issue(t, "mx.example", false, now.Add(-time.Hour), mid, midKey)
	other, _ := issue(t, "mx.example", false, now.Add(time.Hour), nil, nil)
	rec := func(usage, selector, matching uint8, data []byte) dns.TLSA {
		return dns.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
	}
	for _, tt := range []struct {
		name    string
		records []dns.TLSA
		chain   []*x509.Certificate
		host    string
		ok      bool
	}{
		{"ee key", []dns.TLSA{dane.RecordOf(leaf)}, []*x509.Certificate{leaf}, "mx.example", true},
		{"ee whole certificate", []dns.TLSA{rec(3, 0, 1, sum(leaf.Raw))}, []*x509.Certificate{leaf}, "mx.example", true},
		{"ee: another name does not count", []dns.TLSA{dane.RecordOf(leaf)}, []*x509.Certificate{leaf}, "else.example", true},
		{"ee: nor does the date", []dns.TLSA{dane.RecordOf(old)}, []*x509.Certificate{old}, "mx.example", true},
		{"ee: another key", []dns.TLSA{dane.RecordOf(leaf)}, []*x509.Certificate{other}, "mx.example", false},
		{"ee: not a certificate of the chain", []dns.TLSA{dane.RecordOf(mid)}, []*x509.Certificate{leaf, mid}, "mx.example", false},
		{"two records, one right", []dns.TLSA{dane.RecordOf(other), dane.RecordOf(leaf)}, []*x509.Certificate{leaf}, "mx.example", true},
		{"ta", []dns.TLSA{rec(2, 0, 1, sum(mid.Raw))}, []*x509.Certificate{leaf, mid}, "mx.example", true},
		{"ta: root", []dns.TLSA{rec(2, 1, 1, sum(root.RawSubjectPublicKeyInfo))}, []*x509.Certificate{leaf, mid, root}, "mx.example", true},
		{"ta: root not sent", []dns.TLSA{rec(2, 1, 1, sum(root.RawSubjectPublicKeyInfo))}, []*x509.Certificate{leaf, mid}, "mx.example", false},
		{"ta: whole in DNS, not sent", []dns.TLSA{rec(2, 0, 0, root.Raw)}, []*x509.Certificate{leaf, mid}, "mx.example", true},
		{"ta: another name", []dns.TLSA{rec(2, 0, 1, sum(mid.Raw))}, []*x509.Certificate{leaf, mid}, "else.example", false},
		{"ta: expired", []dns.TLSA{rec(2, 0, 1, sum(mid.Raw))}, []*x509.Certificate{old, mid}, "mx.example", false},
		{"ta: sent but not above the leaf", []dns.TLSA{rec(2, 0, 1, sum(mid.Raw))}, []*x509.Certificate{other, mid}, "mx.example", false},
		{"nothing sent", []dns.TLSA{dane.RecordOf(leaf)}, nil, "mx.example", false},
	} {
		usable := dane.Usable(tt.records)
		if len(usable) != len(tt.records) {
			t.Errorf("%s: %d usable", tt.name, len(usable))
		}
		err := dane.Verify(tls.ConnectionState{PeerCertificates: tt.chain}, usable, []string{tt.host}, now)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, r := range []dns.TLSA{rec(0, 0, 1, sum(nil)), rec(1, 1, 1, sum(nil)), rec(3, 2, 1, sum(nil)), rec(3, 1, 3, sum(nil)),
		rec(3, 1, 1, []byte("short")), rec(3, 1, 2, sum(nil)), rec(2, 0, 0, []byte("no certificate")), rec(3, 1, 0, nil)} {
		if len(dane.Usable([]dns.TLSA{r})) > 0 {
			t.Errorf("usable: %s", dane.String(r))
		}
	}
}
