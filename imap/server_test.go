package imap

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/imapurl"
	"posthouse/internal/transcript"
	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// house is a server with two people and an administrator over an engine in memory.
type house struct {
	t     testing.TB
	store *store.Store
	srv   *Server
	addr  string
	tls   string // address of the face with implicit TLS
	now   time.Time
}

// people is an Authenticator: everyone's password is "demo".
type people struct{}

var accounts = map[string]mail.AccountID{"ada": 1, "ben": 2, "root": 3}

func (people) Methods() sasl.Methods { return sasl.ByPassword }

func (people) Attempt(netip.Addr, *tls.ConnectionState) directory.Attempt { return &attempt{} }

// attempt is a login of one of the people, with a password.
type attempt struct {
	sasl.Authority
	who directory.Account
}

func (a *attempt) Account() directory.Account { return a.who }

func (a *attempt) Password(_ context.Context, c sasl.Credentials) error {
	id, ok := accounts[strings.TrimSuffix(c.Login, "@demo.test")]
	if !ok || c.Password != "demo" || c.As != "" && c.As != c.Login {
		return &mail.Error{Kind: mail.Denied, Op: "test"}
	}
	name, _, _ := strings.Cut(c.Login, "@")
	a.who = directory.Account{ID: id, Address: mail.Address{Local: name, Domain: "demo.test"}, Admin: name == "root"}
	return nil
}

// Groups, Identify and Name make people Neighbours: team is ben and root.
func (people) Groups(_ context.Context, id mail.AccountID) ([]mail.AccountID, error) {
	if id == 1 {
		return nil, nil
	}
	return []mail.AccountID{team}, nil
}

const team = 10

func (people) Identify(_ context.Context, a mail.Address) (mail.AccountID, error) {
	id, ok := accounts[a.Local]
	if a.Local == "team" {
		id, ok = team, true
	}
	if !ok || a.Domain != "demo.test" {
		return 0, &mail.Error{Kind: mail.NotFound, Op: "test"}
	}
	return id, nil
}

func (people) Name(_ context.Context, id mail.AccountID) (mail.Address, error) {
	for name, n := range accounts {
		if n == id {
			return mail.Address{Local: name, Domain: "demo.test"}, nil
		}
	}
	if id == team {
		return mail.Address{Local: "team", Domain: "demo.test"}, nil
	}
	return mail.Address{}, &mail.Error{Kind: mail.NotFound, Op: "test"}
}

// quotas keeps the quotas of the people.
type quotas struct{ st *store.Store }

func (q quotas) account(ctx context.Context, address string) (*store.Account, error) {
	name, _, _ := strings.Cut(address, "@")
	id, ok := accounts[name]
	if !ok {
		return nil, &mail.Error{Kind: mail.NotFound, Op: "test"}
	}
	return q.st.Account(ctx, id)
}

func (q quotas) Quota(ctx context.Context, address string) (u store.Usage, err error) {
	a, err := q.account(ctx, address)
	if err != nil {
		return u, err
	}
	err = a.View(ctx, func(v *store.View) error {
		u = v.Usage()
		return nil
	})
	return u, err
}

func (q quotas) SetQuota(ctx context.Context, address string, to store.Quota) error {
	a, err := q.account(ctx, address)
	if err != nil {
		return err
	}
	return a.Update(ctx, func(tx *store.Tx) error { return tx.SetQuota(to) })
}

// roleBoxes is what every account has beside its inbox.
var roleBoxes = []store.NewMailbox{
	{Path: "Archive", Role: mail.RoleArchive, Subscribe: true}, {Path: "Drafts", Role: mail.RoleDrafts, Subscribe: true},
	{Path: "Sent", Role: mail.RoleSent, Subscribe: true}, {Path: "Trash", Role: mail.RoleTrash, Subscribe: true},
}

var fixedNow = time.Date(2026, time.May, 4, 10, 30, 0, 0, time.UTC)

func newHouse(t testing.TB, o Options) *house {
	t.Helper()
	return newHouseOver(t, mem.New(), o)
}

// newHouseOver is newHouse over an engine, which it closes.
func newHouseOver(t testing.TB, eng engine.Engine, o Options) *house {
	t.Helper()
	h := &house{t: t, now: fixedNow}
	t.Cleanup(func() {
		if err := eng.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	st, err := store.Open(t.Context(), eng, store.Options{Now: func() time.Time { return h.now }})
	if err != nil {
		t.Fatal(err)
	}
	h.store = st
	for _, id := range accounts {
		err := st.Update(t.Context(), []mail.AccountID{id}, nil, func(txs []*store.Tx) error {
			if err := txs[0].CreateAccount(roleBoxes); err != nil {
				return err
			}
			return txs[0].SetDomain("demo.test")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	o.Store, o.Directory, o.Quotas, o.Neighbours, o.SharedAccounts = st, people{}, quotas{st}, people{}, []string{"root@demo.test"}
	o.Now = func() time.Time { return h.now }
	o.URLs = &imapurl.Service{Store: st, People: people{}, Host: "mx.demo.test", Now: o.Now}
	if o.Limits.LoginPause == 0 {
		o.Limits.LoginPause = -1
	}
	h.srv = New(o)
	h.addr = h.listen(Face{Name: "imap"})
	if o.TLSConfig != nil {
		h.tls = h.listen(Face{Name: "imaps", ImplicitTLS: true})
	}
	t.Cleanup(h.close)
	return h
}

func (h *house) listen(f Face) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.srv.Serve(context.Background(), l, f)
	}()
	h.t.Cleanup(func() { <-done })
	return l.Addr().String()
}

func (h *house) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.srv.Shutdown(ctx); err != nil {
		h.t.Errorf("shutdown: %v", err)
	}
	if n := h.srv.Stats().Panics; n > 0 {
		h.t.Errorf("%d panics", n)
	}
	err := h.store.Check(context.Background(), true, func(id mail.AccountID, problem string) {
		h.t.Errorf("check: account %d: %s", id, problem)
	})
	if err != nil {
		h.t.Errorf("check: %v", err)
	}
	if err := h.store.Close(); err != nil {
		h.t.Errorf("close: %v", err)
	}
}

// deliver appends a message to a mailbox, as delivery does.
func (h *house) deliver(id mail.AccountID, path, text string, flags ...mail.Flag) error {
	ctx := context.Background()
	acct, err := h.store.Account(ctx, id)
	if err != nil {
		return err
	}
	m, err := h.store.Stage(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.Write([]byte(text)); err != nil {
		return err
	}
	if err := m.Finish(); err != nil {
		return err
	}
	return acct.Update(ctx, func(tx *store.Tx) error {
		box, err := tx.Mailbox(path)
		if err != nil {
			return err
		}
		_, err = tx.Append(box.ID, m, store.AppendOptions{Flags: flags})
		return err
	})
}

// login opens a connection that has logged in, the greeting read.
func (h *house) login(user string) (net.Conn, error) {
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(nc, "L LOGIN %s demo\r\n", user); err != nil {
		return nil, err
	}
	for range 2 { // greeting and OK
		if err := skipLine(nc); err != nil {
			return nil, err
		}
	}
	return nc, nil
}

func skipLine(nc net.Conn) error {
	var b [1]byte
	for b[0] != '\n' {
		if _, err := nc.Read(b[:]); err != nil {
			return err
		}
	}
	return nil
}

// TestTranscripts plays testdata/*.txt. Settings: "raw" begins before login,
// "imaps" with TLS, "tls" offers STARTTLS, "plain" allows a login without TLS,
// "mail N" puts N of the sample messages into INBOX (3 if not given), "user2 ben"
// logs the second connection in as ben, "jmap URL" and "withhold_from NAME=CAPS" set these options, "compress" compresses all connections, "limit NAME N" sets a limit.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", stage(t, func(testing.TB) engine.Engine { return mem.New() }),
		transcript.Bytewise(), transcript.TLS(&tls.Config{InsecureSkipVerify: true}))
}

// TestTranscriptsLocal plays them over the engine that people use.
func TestTranscriptsLocal(t *testing.T) {
	if testing.Short() {
		t.Skip("each dialogue makes a store")
	}
	transcript.Run(t, "testdata/*.txt", stage(t, func(t testing.TB) engine.Engine {
		eng, err := local.Open(context.Background(), local.Options{Dir: t.TempDir(), MinFree: -1, Reserve: -1,
			SegmentSize: 1 << 20, IndexCache: 1 << 20, MemTable: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return eng
	}), transcript.TLS(&tls.Config{InsecureSkipVerify: true}))
}

// stage prepares a house for a dialogue.
func stage(t *testing.T, open func(testing.TB) engine.Engine) transcript.Start {
	cert := selfSigned(t)
	return func(t *testing.T, s *transcript.Script) transcript.Server {
		o := Options{AllowPlaintextLogin: true, Logger: slog.New(slog.DiscardHandler)}
		if _, ok := s.Settings["secure"]; ok {
			o.AllowPlaintextLogin = false
		}
		if _, ok := s.Settings["tls"]; ok {
			o.TLSConfig = cert
		}
		if l, ok := s.Settings["limit"]; ok {
			setLimit(t, &o.Limits, l)
		}
		o.JMAP = s.Settings["jmap"]
		if v, ok := s.Settings["withhold_from"]; ok {
			client, what, _ := strings.Cut(v, "=")
			o.WithholdFrom = map[string]string{client: what}
		}
		h := newHouseOver(t, open(t), o)
		n := 3
		if v, ok := s.Settings["mail"]; ok {
			n, _ = strconv.Atoi(v)
		}
		for i := range n {
			if err := h.deliver(1, "INBOX", sample(i)); err != nil {
				t.Fatal(err)
			}
		}
		return transcript.Server{
			Dial: func(label string) (net.Conn, error) {
				if _, raw := s.Settings["raw"]; raw {
					return net.Dial("tcp", h.addr)
				}
				user := "ada"
				if u := s.Settings["user"+label]; u != "" {
					user = u
				}
				nc, err := h.login(user)
				if _, on := s.Settings["compress"]; on && err == nil {
					return compressed(nc)
				}
				return nc, err
			},
			Do: map[string]func(string) error{
				"deliver": func(args string) error {
					n, path, _ := strings.Cut(args, " ")
					i, _ := strconv.Atoi(n)
					return h.deliver(1, path, sample(i))
				},
				"tick": func(args string) error {
					d, err := time.ParseDuration(args)
					h.now = h.now.Add(d)
					return err
				},
			},
		}
	}
}

// compressed turns on COMPRESS.
func compressed(nc net.Conn) (net.Conn, error) {
	if _, err := fmt.Fprint(nc, "Z COMPRESS DEFLATE\r\n"); err != nil {
		return nil, err
	}
	if err := skipLine(nc); err != nil {
		return nil, err
	}
	return &deflated{Conn: nc}, nil
}

func setLimit(t *testing.T, l *Limits, s string) {
	name, value, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]*int{"BadCommands": &l.BadCommands, "FailedLogins": &l.FailedLogins, "Nesting": &l.Nesting,
		"FetchItems": &l.FetchItems, "HeaderNames": &l.HeaderNames, "SearchKeys": &l.SearchKeys, "ListPatterns": &l.ListPatterns,
		"Line": &l.Line, "Flood": &l.Flood, "Literal": &l.Literal, "FlushBytes": &l.FlushBytes, "FetchWhole": &l.FetchWhole,
		"Messages": &l.Messages, "PerUserAddress": &l.PerUserAddress, "PerAddress": &l.PerAddress, "AppendMessages": &l.AppendMessages}
	if p := fields[name]; p != nil {
		*p = n
	} else if name == "ProgressTime" {
		l.ProgressTime = time.Duration(n)
	} else if name == "MessageBytes" {
		l.MessageBytes = int64(n)
	} else {
		t.Fatalf("no limit %s", name)
	}
}

func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "imap.demo.test"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"imap.demo.test"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// sample returns message i of the dialogues.
func sample(i int) string {
	return strings.ReplaceAll(samples[i%len(samples)], "\n", "\r\n")
}

var samples = []string{
	`From: Ben <ben@demo.test>
To: Ada <ada@demo.test>
Subject: Lunch
Date: Mon, 4 May 2026 09:00:00 +0200
Message-ID: <lunch@demo.test>

At noon?
`,
	`From: =?utf-8?q?Zo=C3=AB?= <zoe@example.com>
To: ada@demo.test, "Ben, B." <ben@demo.test>
Cc: team@example.com
Subject: Report
Date: Tue, 5 May 2026 08:15:00 +0000
Message-ID: <report@example.com>
In-Reply-To: <lunch@demo.test>
References: <lunch@demo.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b1

preamble
--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Caf=C3=A9 figures
--b1
Content-Type: application/octet-stream; name=data.bin
Content-Disposition: attachment; filename=data.bin
Content-Transfer-Encoding: base64

AAECAwQ=
--b1--
`,
	`From: ada@demo.test
To: ben@demo.test
Subject: Fwd: Lunch
Date: Wed, 6 May 2026 10:00:00 +0000
Message-ID: <fwd@demo.test>
Content-Type: multipart/mixed; boundary=xx

--xx
Content-Type: text/plain

See below.
--xx
Content-Type: message/rfc822

From: inner@example.com
Subject: Inner
Content-Type: text/html

<p>deep</p>
--xx--
`,
}
