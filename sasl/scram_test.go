package sasl

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"posthouse/mail"
)

// vectors is an Authority with the user of the RFCs' examples.
type vectors struct {
	house
	secret Secret
}

func (v *vectors) Secret(context.Context, Hash, string, string) (Secret, error) { return v.secret, nil }

// The examples of RFC 5802 §5 and RFC 7677 §3, both sides, octet by octet.
func TestScramVectors(t *testing.T) {
	for _, tt := range []struct {
		hash               Hash
		cnonce, snonce     string
		salt               string
		first, reply       string
		final, finalAnswer string
	}{
		{SHA1, "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
		{SHA256, "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	} {
		salt, err := base64.StdEncoding.DecodeString(tt.salt)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := NewSecret(tt.hash, "pencil", salt, 4096)
		if err != nil {
			t.Fatal(err)
		}
		server := &scramServer{auth: &vectors{secret: secret}, hash: tt.hash, suffix: tt.snonce}
		client := &scramClient{c: Credentials{Login: "user", Password: "pencil"}, hash: tt.hash, nonce: tt.cnonce}
		first, err := client.Start()
		if err != nil || string(first) != tt.first {
			t.Fatalf("%s: %q, %v", tt.hash, first, err)
		}
		reply, _, err := server.Next(t.Context(), first)
		if err != nil || string(reply) != tt.reply {
			t.Fatalf("%s: %q, %v", tt.hash, reply, err)
		}
		final, err := client.Next(reply)
		if err != nil || string(final) != tt.final {
			t.Fatalf("%s: %q, %v", tt.hash, final, err)
		}
		answer, _, err := server.Next(t.Context(), final)
		if err != nil || string(answer) != tt.finalAnswer {
			t.Fatalf("%s: %q, %v", tt.hash, answer, err)
		}
		last, err := client.Next(answer)
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := server.Next(t.Context(), last); !done || err != nil {
			t.Fatalf("%s: %v, %v", tt.hash, done, err)
		}
	}
}

// tunnel is a TLS connection seen from both ends.
func tunnel(t *testing.T, version uint16) (server, client Channel) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sc := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}}
	a, b := net.Pipe()
	s := tls.Server(a, sc)
	c := tls.Client(b, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test", MaxVersion: version})
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(t.Context()) }()
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	ss, cs := s.ConnectionState(), c.ConnectionState()
	return Channel{TLS: &ss, Config: sc}, Channel{TLS: &cs}
}

// The two sides of one connection agree about its bindings, and two connections have
// different ones.
func TestBindings(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, c := tunnel(t, version)
		other, _ := tunnel(t, version)
		for _, kind := range []string{bindExporter, bindEndPoint} {
			a, b := s.bindings(kind), c.bindings(kind)
			if len(a) == 0 || len(b) == 0 || string(a[0]) != string(b[0]) {
				t.Fatalf("%x %s: %x, %x", version, kind, a, b)
			}
			if string(other.bindings(kind)[0]) == string(a[0]) {
				t.Errorf("%s binds to nothing", kind)
			}
		}
		if s.bindings("tls-unique") != nil || (Channel{}).bindable() || !s.bindable() {
			t.Error("bindings that are none")
		}
	}
}

// Each of another's SCRAM clients logs in here, bound and not, and our client there.
func TestScramAgainstAnother(t *testing.T) {
	server, client := tunnel(t, tls.VersionTLS13)
	for _, password := range []string{"secret", "p\u00e4\u00dfw\u00f6rd \u2168 \ufb01", "with,=comma"} {
		for _, m := range []struct {
			mech Mechanism
			hash scram.HashGeneratorFcn
		}{{mechScram1, scram.SHA1}, {mechScram256, scram.SHA256}, {mechScram1Plus, scram.SHA1}, {mechScram256Plus, scram.SHA256}} {
			theirs, err := m.hash.NewClient(ada, password, "")
			if err != nil {
				t.Fatal(err)
			}
			conv := theirs.NewConversationWithChannelBinding(scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: client.bindings(bindExporter)[0]})
			ch := server
			if !m.mech.bound {
				conv, ch = theirs.NewConversation(), Channel{}
			}
			s := m.mech.Server(&house{password: password}, ch)
			step := ""
			for i := range 3 {
				out, err := conv.Step(step)
				if err != nil {
					t.Fatalf("%s: %v", m.mech.Name, err)
				}
				reply, done, err := s.Next(t.Context(), []byte(out))
				if err != nil || done != (i == 2) {
					t.Fatalf("%s, step %d: %v, %v", m.mech.Name, i, done, err)
				}
				step = string(reply)
			}
			if !conv.Valid() {
				t.Errorf("%s: they do not believe us", m.mech.Name)
			}
		}
	}
	for hash, theirs := range map[Hash]scram.HashGeneratorFcn{SHA1: scram.SHA1, SHA256: scram.SHA256} {
		known, err := theirs.NewClient(ada, "secret", "")
		if err != nil {
			t.Fatal(err)
		}
		stored, err := known.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: MinIterations})
		if err != nil {
			t.Fatal(err)
		}
		srv, err := theirs.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
		if err != nil {
			t.Fatal(err)
		}
		conv := srv.NewConversation()
		ours := &scramClient{c: Credentials{Login: ada, Password: "secret"}, hash: hash}
		msg, err := ours.Start()
		for err == nil && !conv.Done() {
			var reply string
			if reply, err = conv.Step(string(msg)); err == nil {
				msg, err = ours.Next([]byte(reply))
			}
		}
		if err != nil || !conv.Valid() {
			t.Errorf("%s: %v", hash, err)
		}
		if own, _ := NewSecret(hash, "secret", []byte("salt"), MinIterations); string(own.StoredKey) != string(stored.StoredKey) || string(own.ServerKey) != string(stored.ServerKey) {
			t.Errorf("%s: the secrets differ", hash)
		}
	}
}

// Nobody talks a client out of binding, and a proof is good for one connection.
func TestScramDowngrade(t *testing.T) {
	server, client := tunnel(t, tls.VersionTLS13)
	other, _ := tunnel(t, tls.VersionTLS13)
	creds := Credentials{Login: ada, Password: "secret"}
	plus := func() Client { return mechScram256Plus.client(creds, client) }
	for _, tt := range []struct {
		name   string
		server Server
		client Client
		ok     bool
	}{
		{"bound", mechScram256Plus.Server(&house{}, server), plus(), true},
		{"relayed", mechScram256Plus.Server(&house{}, other), plus(), false},
		{"bound without plus", mechScram256.Server(&house{}, server), plus(), false},
		{"plus without binding", mechScram256Plus.Server(&house{}, server), mechScram256.client(creds, Channel{}), false},
		{"not bound", mechScram256.Server(&house{}, server), mechScram256.client(creds, Channel{}), true},
		{"offer taken away", mechScram256.Server(&house{}, server), &flagged{mechScram256.client(creds, Channel{}), "y"}, false},
		{"unknown type", mechScram256Plus.Server(&house{}, server), &flagged{plus(), "p=tls-unique"}, false},
	} {
		done, err := converse(tt.server, tt.client, true)
		if done != tt.ok || !tt.ok && mail.KindOf(err) != mail.Denied {
			t.Errorf("%s: %v, %v", tt.name, done, err)
		}
	}
}

// flagged is a client that says another GS2 flag.
type flagged struct {
	Client
	flag string
}

func (f *flagged) Start() ([]byte, error) {
	b, err := f.Client.Start()
	_, rest, _ := strings.Cut(string(b), ",")
	return []byte(f.flag + "," + rest), err
}

func TestScramNonsense(t *testing.T) {
	for _, first := range []string{"", "n", "n,", "x,,n=ada,r=a", "n,,r=a", "n,,n=ada", "n,,n=,r=a", "n,,n=a=b,r=a", "n,b=x,n=ada,r=a",
		"n,,m=x,n=ada,r=a", "n,,n=ada,r=", "n,,n=ada,r=a\x7f", "n,,n=\xff,r=a", "n,,n=ada,r=" + strings.Repeat("x", 300)} {
		s := mechScram256.Server(&house{}, Channel{})
		if _, done, err := s.Next(t.Context(), []byte(first)); done || mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v, %v", first, done, err)
		}
	}
	for _, final := range []string{"", "c=biws", "c=biws,r=a", "r=a,c=biws,p=AA==", "c=biws,r=a,p=AA==", "c=?,r=a,p=" + strings.Repeat("A", 43) + "="} {
		s := mechScram256.Server(&house{}, Channel{})
		if _, _, err := s.Next(t.Context(), []byte("n,,n=ada,r=a")); err != nil {
			t.Fatal(err)
		}
		if _, done, err := s.Next(t.Context(), []byte(final)); done || mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v, %v", final, done, err)
		}
	}
	// Another nonce, another header: as wrong as a wrong password.
	for _, change := range [][2]string{{"r=a", "r=b"}, {"c=biws", "c=eSws"}} {
		s := &scramServer{auth: &house{}, hash: SHA256, suffix: "x"}
		c := &scramClient{c: Credentials{Login: ada, Password: "secret"}, hash: SHA256, nonce: "a"}
		first, _ := c.Start()
		reply, _, err := s.Next(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		final, err := c.Next(reply)
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := s.Next(t.Context(), []byte(strings.Replace(string(final), change[0], change[1], 1))); done || mail.KindOf(err) != mail.Denied {
			t.Errorf("%q: %v, %v", change, done, err)
		}
	}
	for _, n := range []int{0, 4095, MaxIterations + 1} {
		if _, err := NewSecret(SHA1, "x", []byte("salt"), n); err == nil {
			t.Errorf("%d iterations", n)
		}
	}
	if SHA1.Size() != sha1.Size || SHA256.Size() != sha256.Size {
		t.Error("sizes")
	}
}

// The examples of RFC 4013 §3 that are allowed.
func TestPrepare(t *testing.T) {
	for in, want := range map[string]string{"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", "a\u00a0b": "a b"} {
		if got := Prepare(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
