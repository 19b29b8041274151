package smtp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/imapurl"
	"posthouse/internal/transcript"
	"posthouse/mail"
	"posthouse/smtp/wire"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// A house is a server over an engine in memory, with ada (postmaster) and ben of
// demo.test, whose password is "demo", and ghost, who has an address but no
// mailboxes.
type house struct {
	t     testing.TB
	eng   engine.Engine
	st    *store.Store
	dir   *directory.Directory
	queue *fakeQueue
	srv   *Server
	log   *syncBuffer
}

func addr(s string) mail.Address {
	a, err := wire.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func newHouse(t testing.TB, eng engine.Engine, change func(*Options)) *house {
	t.Helper()
	return newCheckingHouse(t, eng, nil, change)
}

// newCheckingHouse also checks who sends mail, if checks is not nil.
func newCheckingHouse(t testing.TB, eng engine.Engine, checks *delivery.Checks, change func(*Options)) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t, eng: eng, queue: &fakeQueue{}, log: &syncBuffer{}}
	var err error
	if h.st, err = store.Open(ctx, eng, store.Options{}); err != nil {
		t.Fatal(err)
	}
	h.dir, err = directory.Open(ctx, eng, directory.Options{Hash: directory.HashCost{MemoryKiB: 64, Passes: 1, Lanes: 1}, ProofIterations: 4096})
	must(t, err)
	for _, d := range []mail.Domain{"demo.test", "all.test"} {
		_, err := h.dir.AddDomain(ctx, d)
		must(t, err)
	}
	withMail := func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return h.st.Update(ctx, []mail.AccountID{id}, []*engine.Batch{b}, func(txs []*store.Tx) error {
			return txs[0].CreateAccount(nil)
		})
	}
	_, err = h.dir.AddAccount(ctx, directory.NewAccount{Address: addr("ada@demo.test"), Admin: true, Password: "demo"}, withMail)
	must(t, err)
	_, err = h.dir.AddAccount(ctx, directory.NewAccount{Address: addr("ben@demo.test"), Password: "demo"}, withMail)
	must(t, err)
	_, err = h.dir.AddAccount(ctx, directory.NewAccount{Address: addr("ghost@demo.test"), Password: "demo"}, nil)
	must(t, err)
	for from, to := range map[string][]string{
		"both@demo.test":  {"ada@demo.test", "ben@demo.test"},
		"away@demo.test":  {"someone@far.test"},
		"split@demo.test": {"ada@demo.test", "someone@far.test"},
	} {
		a := directory.Alias{Address: addr(from)}
		for _, x := range to {
			a.Targets = append(a.Targets, addr(x))
		}
		_, err := h.dir.SetAlias(ctx, a)
		must(t, err)
	}
	_, err = h.dir.SetDomain(ctx, "all.test", func(d *directory.Domain) { d.CatchAll = addr("ben@demo.test") })
	must(t, err)
	logger := slog.New(slog.NewTextHandler(h.log, nil))
	o := Options{Authenticator: h.dir, Hostname: "mx.demo.test", TLSConfig: serverTLS(), Logger: logger, Limits: Limits{LoginPause: -1}}
	o.Delivery = delivery.New(delivery.Options{Store: h.st, Directory: h.dir, Queue: h.queue, Hostname: "mx.demo.test", Logger: logger, Checks: checks})
	o.URLs = &imapurl.Service{Store: h.st, People: h.dir, Host: o.Hostname, Now: time.Now}
	if change != nil {
		change(&o)
	}
	h.srv = New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if n := h.srv.Stats().Panics; n > 0 {
			t.Errorf("%d panics:\n%s", n, h.log.String())
		}
		must(t, h.st.Close())
		must(t, eng.Close())
	})
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listen serves a face on loopback and returns its address.
func (h *house) listen(f Face) string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(h.t, err)
	go func() { _ = h.srv.Serve(context.Background(), l, f) }()
	return l.Addr().String()
}

// inbox returns the messages in the inbox of an account, oldest first.
func (h *house) inbox(address string) []string {
	h.t.Helper()
	ctx := context.Background()
	da, err := h.dir.AccountByAddress(ctx, addr(address))
	must(h.t, err)
	a, err := h.st.Account(ctx, da.ID)
	must(h.t, err)
	var all []string
	must(h.t, a.View(ctx, func(v *store.View) error {
		box, err := v.Mailbox("INBOX")
		if err != nil {
			return err
		}
		snap, err := v.Snapshot(box.ID)
		if err != nil {
			return err
		}
		for _, row := range snap.Rows(0, snap.Len()) {
			e, err := v.Email(row.Email)
			if err != nil {
				return err
			}
			b, err := a.Read(ctx, nil, e)
			if err != nil {
				return err
			}
			all = append(all, string(b))
		}
		return nil
	}))
	return all
}

// A fakeQueue stores envelopes as text, one key each.
type fakeQueue struct {
	mu    sync.Mutex
	n     int
	added []string // what was asked for, committed or not
	woken int
}

func (q *fakeQueue) AddBatch(_ context.Context, env *mail.Envelope, prefix []byte, msg *store.Staged) (*engine.Batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n++
	text := fmt.Sprintf("from=<%s> body=%d utf8=%v envid=%q full=%v size=%d", env.ReversePath, env.Body, env.UTF8, env.EnvID, env.ReturnFull, msg.Size())
	for word, on := range map[string]bool{" held": !env.HoldUntil.IsZero(), " by": !env.DeliverBy.IsZero(), " requiretls": env.RequireTLS} {
		if on {
			text += word
		}
	}
	if env.ByReturn {
		text += " return"
	}
	if env.ByTrace {
		text += " trace"
	}
	if env.Priority != 0 {
		text += fmt.Sprintf(" priority=%d", env.Priority)
	}
	for _, r := range env.Recipients {
		text += fmt.Sprintf(" to=<%s> notify=%d orcpt=%q", r.Address, r.Notify, r.Original)
	}
	q.added = append(q.added, text+"\n"+string(prefix))
	return &engine.Batch{Account: 0, Expect: engine.AnyVersion,
		Ops: []engine.Op{{Kind: engine.Set, Key: []byte("q" + strconv.Itoa(q.n)), Val: []byte(q.added[q.n-1])}}}, nil
}

func (q *fakeQueue) Wake(...*store.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.woken++
}

// queued returns what the queue really holds.
func (h *house) queued() []string {
	h.t.Helper()
	r := h.eng.Snapshot(0)
	defer r.Close()
	var all []string
	must(h.t, r.Scan([]byte("q"), []byte("r"), func(_, val []byte) bool {
		all = append(all, string(val))
		return true
	}))
	return all
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serverTLS is one self-signed certificate for all tests.
var serverTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.demo.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
})

func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

var faceNames = map[string]Face{"mx": MX, "submission": Submission, "submissions": Submissions, "lmtp": LMTP}

// TestTranscripts plays testdata/*.txt. Settings: face, plaintext, tls, and the
// limits of limitSettings. Actions: inbox and queue.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/*.txt", func(t *testing.T, s *transcript.Script) transcript.Server {
		t.Parallel()
		f, ok := faceNames[orElse(s.Settings["face"], "mx")]
		if !ok {
			t.Fatalf("no face %q", s.Settings["face"])
		}
		h := newCheckingHouse(t, mem.New(), senderChecks(t, s.Settings["senders"]), func(o *Options) { applySettings(t, o, s.Settings) })
		address := h.listen(f)
		return transcript.Server{
			Dial: func(string) (net.Conn, error) {
				nc, err := net.Dial("tcp", address)
				if err == nil && f == Submissions {
					nc = tls.Client(nc, clientTLS())
				}
				return nc, err
			},
			Do: map[string]func(string) error{"inbox": h.checkInbox, "queue": h.checkQueue, "shutdown": h.shutdown},
		}
	}, transcript.Bytewise(), transcript.TLS(clientTLS()))
}

// senderChecks is the setting "senders": a zone file in testdata from which a real
// resolver answers.
func senderChecks(t *testing.T, zone string) *delivery.Checks {
	t.Helper()
	if zone == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join("testdata", zone))
	must(t, err)
	return &delivery.Checks{Resolver: dnstest.New(t, string(text)).Client(t, dns.Options{})}
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func applySettings(t *testing.T, o *Options, set map[string]string) {
	t.Helper()
	o.AllowPlaintextLogin = set["plaintext"] == "on"
	if set["tls"] == "off" {
		o.TLSConfig = nil
	}
	l := &o.Limits
	ints := map[string]*int{"command-line": &l.CommandLine, "data-line": &l.DataLine, "recipients": &l.Recipients,
		"messages": &l.Messages, "bad-commands": &l.BadCommands, "before-login": &l.BadCommandsBeforeLogin, "bad-recipients": &l.BadRecipients}
	for name, value := range set {
		switch p, isInt := ints[name]; {
		case isInt:
			n, err := strconv.Atoi(value)
			must(t, err)
			*p = n
		case name == "xclient":
			o.XClient = []netip.Prefix{netip.MustParsePrefix(value)}
		case name == "message-size":
			n, err := strconv.ParseInt(value, 10, 64)
			must(t, err)
			l.Message = n
		}
	}
}

// checkInbox takes "address" and what holds is to be compared with.
func (h *house) checkInbox(args string) error {
	address, want, _ := strings.Cut(args, " ")
	return holds(h.inbox(address), want)
}

func (h *house) checkQueue(args string) error { return holds(h.queued(), args) }

// holds compares entries with "count", "contains text" or "lacks text": is it in
// one of them, is it in none.
func holds(got []string, want string) error {
	text := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(want)
	has := func(text string) bool {
		return slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, text) })
	}
	ok := strconv.Itoa(len(got)) == want
	if t, contains := strings.CutPrefix(text, "contains "); contains {
		ok = has(t)
	} else if t, lacks := strings.CutPrefix(text, "lacks "); lacks {
		ok = len(got) > 0 && !has(t)
	}
	if !ok {
		return fmt.Errorf("%d: %q", len(got), got)
	}
	return nil
}

// shutdown begins to shut down and returns at once.
func (h *house) shutdown(string) error {
	go func() { _ = h.srv.Shutdown(context.Background()) }()
	return nil
}
