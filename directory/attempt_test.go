package directory

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	mathbig "math/big"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/store/engine/mem"
)

// prove logs in by SCRAM.
func prove(t *testing.T, d *Directory, login, as, password string, from netip.Addr) (Account, error) {
	t.Helper()
	m, _ := sasl.Lookup("SCRAM-SHA-256")
	a := d.Attempt(from, nil)
	s, c := m.Server(a, sasl.Channel{}), m.Client(sasl.Credentials{Login: login, Password: password, As: as})
	resp, err := c.Start()
	for err == nil {
		var ch []byte
		var done bool
		if ch, done, err = s.Next(t.Context(), resp); err != nil || done {
			break
		}
		resp, err = c.Next(ch)
	}
	return a.Account(), err
}

func TestProofs(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	acct := must(prove(t, d, "ADA@example.org", "", "secret", stranger))(t)
	if acct.ID != ada.ID {
		t.Fatal(acct)
	}
	must(prove(t, d, "ada@example.org", "Ada@Example.org", "secret", stranger))(t)
	for _, bad := range [][3]string{{"ada@example.org", "", "wrong"}, {"ada@example.org", "ben@example.org", "secret"}, {"nobody@example.org", "", "secret"},
		{"nonsense", "", "secret"}, {"ada@example.org", "nonsense", "secret"}} {
		who, err := prove(t, d, bad[0], bad[1], bad[2], netip.Addr{})
		wantKind(t, err, mail.Denied)
		if who.ID != 0 {
			t.Errorf("%q logs in", bad)
		}
	}
	must(d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	_, err := prove(t, d, "ada@example.org", "", "secret", stranger)
	wantKind(t, err, mail.Denied)
	if err := d.SetPassword(ctx, ben.ID, "stra\u00dfe\u00a0\u2168"); err != nil {
		t.Fatal(err)
	}
	must(prove(t, d, "ben@example.org", "", "stra\u00dfe IX", stranger))(t) // as SASLprep has it
	_, err = prove(t, d, "ben@example.org", "", "geheim", stranger)
	wantKind(t, err, mail.Denied)
}

// A login that does not exist has a salt like any other, the same after a restart.
func TestProofsOfNobody(t *testing.T) {
	eng := mem.New()
	d, _ := open(t, eng)
	ctx := t.Context()
	must(d.AddDomain(ctx, "example.org"))(t)
	must(d.AddAccount(ctx, NewAccount{Address: addr("ada@example.org"), Password: "x"}, nil))(t)
	must(d.AddAccount(ctx, NewAccount{Address: addr("none@example.org")}, nil))(t)
	secret := func(d *Directory, login string, h sasl.Hash) sasl.Secret {
		return must(d.Attempt(stranger, nil).Secret(ctx, h, login, ""))(t)
	}
	again, _ := open(t, eng)
	real := secret(d, "ada@example.org", sasl.SHA256)
	for _, login := range []string{"nobody@example.org", "none@example.org", "nonsense", "x@elsewhere.test"} {
		for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256} {
			a, b := secret(d, login, h), secret(again, login, h)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s changes", login)
			}
			if h == sasl.SHA256 && (len(a.Salt) != len(real.Salt) || a.Iterations != real.Iterations || len(a.StoredKey) != len(real.StoredKey)) {
				t.Errorf("%s differs from an account: %+v", login, a)
			}
		}
	}
	if reflect.DeepEqual(secret(d, "a@example.org", sasl.SHA1).Salt, secret(d, "b@example.org", sasl.SHA1).Salt) {
		t.Error("all who do not exist have one salt")
	}
	if !reflect.DeepEqual(secret(d, "A@example.org", sasl.SHA1), secret(d, "a@EXAMPLE.org", sasl.SHA1)) {
		t.Error("spellings tell who exists")
	}
}

// Secrets are made when a password is used, if they are not there, and go when SCRAM is
// switched off.
func TestProofsComeAndGo(t *testing.T) {
	eng := mem.New()
	ctx := t.Context()
	opened := func(iterations int) *Directory {
		return must(Open(ctx, eng, Options{Hash: cheap, HashMemory: 1 << 20, ProofIterations: iterations}))(t)
	}
	count := func(d *Directory) (n, iterations int) {
		c := must(d.credential("ada@example.org"))(t)
		for _, p := range c.cred.Proofs {
			iterations = max(iterations, p.Iterations)
		}
		return len(c.cred.Proofs), iterations
	}
	off := opened(-1)
	must(off.AddDomain(ctx, "example.org"))(t)
	must(off.AddAccount(ctx, NewAccount{Address: addr("ada@example.org"), Password: "secret"}, nil))(t)
	if n, _ := count(off); n != 0 || off.Methods() != sasl.ByPassword {
		t.Fatal(n, off.Methods())
	}
	on := opened(sasl.MinIterations)
	_, err := prove(t, on, "ada@example.org", "", "secret", stranger)
	wantKind(t, err, mail.Denied)
	must(on.Authenticate(ctx, "ada@example.org", "secret", stranger))(t)
	must(prove(t, on, "ada@example.org", "", "secret", stranger))(t)
	if n, i := count(on); n != 2 || i != 2*sasl.MinIterations {
		t.Fatal(n, i)
	}
	more := opened(2 * sasl.MinIterations)
	must(more.Authenticate(ctx, "ada@example.org", "secret", stranger))(t)
	if n, i := count(more); n != 2 || i != 4*sasl.MinIterations {
		t.Fatal(n, i)
	}
	if n, _ := count(opened(-1)); n != 0 {
		t.Error("secrets stay although SCRAM is off")
	}
	if _, err := Open(ctx, eng, Options{ProofIterations: 10}); err == nil {
		t.Error("ten iterations")
	}
}

// ca is a certificate authority of a test.
type ca struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newCA(t *testing.T) *ca {
	t.Helper()
	c := &ca{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
	template := &x509.Certificate{SerialNumber: mathbig.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1e6 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der := must(x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key))(t)
	c.cert = must(x509.ParseCertificate(der))(t)
	return c
}

var start = time.Unix(1_800_000_000, 0)

func (c *ca) issue(t *testing.T, usage x509.ExtKeyUsage, emails ...string) *tls.ConnectionState {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: mathbig.NewInt(2), NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), EmailAddresses: emails, ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	der := must(x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key))(t)
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{must(x509.ParseCertificate(der))(t)}}
}

func TestCertificates(t *testing.T) {
	ours, theirs := newCA(t), newCA(t)
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	clk := &clock{now: start}
	ctx := t.Context()
	d := must(Open(ctx, mem.New(), Options{Hash: cheap, ProofIterations: -1, Now: clk.Now, Certificates: true, CA: pool}))(t)
	must(d.AddDomain(ctx, "example.org"))(t)
	ada := must(d.AddAccount(ctx, NewAccount{Address: addr("ada@example.org")}, nil))(t)
	ben := must(d.AddAccount(ctx, NewAccount{Address: addr("ben@example.org")}, nil))(t)
	client := x509.ExtKeyUsageClientAuth
	pinned, both := theirs.issue(t, client), ours.issue(t, client, "ada@example.org", "ben@example.org", "x@elsewhere.test")
	must(d.Pin(ctx, ada.ID, FingerprintOf(pinned.PeerCertificates[0]), "laptop"))(t)
	_, err := d.Pin(ctx, ben.ID, FingerprintOf(pinned.PeerCertificates[0]), "")
	wantKind(t, err, mail.Exists)
	try := func(name string, state *tls.ConnectionState, as string, want mail.AccountID) {
		t.Helper()
		a := d.Attempt(stranger, state)
		err := a.Certificate(ctx, as)
		if a.Account().ID != want || (err == nil) != (want != 0) || want == 0 && mail.KindOf(err) != mail.Denied {
			t.Errorf("%s: account %d, %v", name, a.Account().ID, err)
		}
	}
	try("none", nil, "", 0)
	try("empty", &tls.ConnectionState{}, "", 0)
	try("pinned", pinned, "", ada.ID)
	try("pinned as oneself", pinned, "Ada@Example.org", ada.ID)
	try("pinned as another", pinned, "ben@example.org", 0)
	try("by CA", ours.issue(t, client, "Ada@example.org"), "", ada.ID)
	try("by CA, two accounts", both, "", 0)
	try("by CA, one of two", both, "ben@example.org", ben.ID)
	try("by CA, not of these", both, "x@elsewhere.test", 0)
	try("another CA", theirs.issue(t, client, "ada@example.org"), "", 0)
	try("for servers", ours.issue(t, x509.ExtKeyUsageServerAuth, "ada@example.org"), "", 0)
	try("without address", ours.issue(t, client), "", 0)
	late := ours.issue(t, client, "ada@example.org")
	clk.advance(2 * time.Hour)
	try("expired", late, "", 0)
	try("pinned and expired", pinned, "", ada.ID)
	must(d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	try("disabled", pinned, "", 0)
	must(d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = false }, nil))(t)
	if pins := must(d.Pins(ctx, ada.ID))(t); len(pins) != 1 || pins[0].Name != "laptop" {
		t.Fatal(pins)
	}
	wantKind(t, d.Unpin(ctx, ben.ID, FingerprintOf(pinned.PeerCertificates[0])), mail.NotFound)
	if err := d.RemoveAccount(ctx, ada.ID, nil); err != nil {
		t.Fatal(err)
	}
	try("removed", pinned, "", 0)
	if pins := must(d.Pins(ctx, ada.ID))(t); len(pins) != 0 {
		t.Error("the key stays")
	}
}

// issuer takes a few tokens.
type issuer map[string]string

func (i issuer) Issuer() string { return "https://id.test" }

func (i issuer) Verify(_ context.Context, token string) (string, error) {
	if token == "away" {
		return "", &mail.Error{Kind: mail.Unavailable, Op: "test", Err: errors.New("away")}
	}
	if who := i[token]; who != "" {
		return who, nil
	}
	return "", &mail.Error{Kind: mail.Denied, Op: "test"}
}

func TestTokens(t *testing.T) {
	ctx := t.Context()
	d := must(Open(ctx, mem.New(), Options{Hash: cheap, ProofIterations: -1, Tokens: issuer{"a": "Ada@example.org", "x": "x@elsewhere.test", "n": "nonsense"}}))(t)
	must(d.AddDomain(ctx, "example.org"))(t)
	ada := must(d.AddAccount(ctx, NewAccount{Address: addr("ada@example.org")}, nil))(t)
	for _, tt := range []struct {
		token, as string
		kind      mail.Kind
		id        mail.AccountID
	}{
		{"a", "", 0, ada.ID}, {"a", "ada@EXAMPLE.org", 0, ada.ID}, {"a", "ben@example.org", mail.Denied, 0}, {"x", "", mail.Denied, 0},
		{"n", "", mail.Denied, 0}, {"away", "", mail.Unavailable, 0}, {"bad", "ada@example.org", mail.Denied, 0},
	} {
		a := d.Attempt(stranger, nil)
		err := a.Token(ctx, tt.token, tt.as)
		if a.Account().ID != tt.id || (err == nil) != (tt.id != 0) || err != nil && mail.KindOf(err) != tt.kind {
			t.Errorf("%+v: %v, %v", tt, a.Account(), err)
		}
	}
}
