package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"posthouse/directory"
	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/publish"
	"posthouse/queue"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func system(t *testing.T) *System {
	t.Helper()
	eng := mem.New()
	st, err := store.Open(t.Context(), eng, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := directory.Open(t.Context(), eng, directory.Options{Hash: directory.HashCost{MemoryKiB: 64, Passes: 1, Lanes: 1}, ProofIterations: 4096})
	if err != nil {
		t.Fatal(err)
	}
	resolver := dns.New(dns.Options{})
	q, err := queue.Open(t.Context(), queue.Options{Engine: eng, Hostname: "x", Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(q.Close(context.Background()), resolver.Close(), st.Close(), eng.Close()); err != nil {
			t.Error(err)
		}
	})
	fresh := dnstest.New(t, "").Client(t, dns.Options{Timeout: 5 * time.Second, MaxNegative: time.Nanosecond})
	pub := publish.New(publish.Options{Directory: dir, Hostname: "mx.example.org", Resolver: fresh})
	return &System{Engine: eng, Store: st, Directory: dir, Queue: q, Publish: pub}
}

func run[Out any](t *testing.T, c Caller, op string, in any) Out {
	t.Helper()
	var out Out
	if err := c.Call(t.Context(), op, in, &out); err != nil {
		t.Fatalf("%s %+v: %v", op, in, err)
	}
	return out
}

// An account is there with its mailboxes or not at all, whatever happens at once.
func TestAccountsMadeAtOnce(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			in := AccountAdd{Address: fmt.Sprintf("u%d@example.org", i/2)}
			err := s.Local().Call(t.Context(), "account.add", in, &Account{})
			if err != nil && mail.KindOf(err) != mail.Exists {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f := run[Findings](t, s.Local(), "check", Check{})
	if f.Accounts != 30 || len(f.Problems) != 0 {
		t.Fatalf("%+v", f)
	}
	for i := range 30 {
		name := Named{Name: fmt.Sprintf("u%d@example.org", i)}
		if d := run[AccountDetail](t, s.Local(), "account.show", name); len(d.Mailboxes) != 6 {
			t.Fatalf("%+v", d)
		}
		if i%2 == 0 {
			wg.Go(func() { _ = s.Local().Call(context.Background(), "account.remove", name, &Account{}) })
		}
	}
	wg.Wait()
	if f := run[Findings](t, s.Local(), "check", Check{}); f.Accounts != 15 || len(f.Problems) != 0 {
		t.Fatalf("%+v", f)
	}
}

// check compares who exists with who has mail.
func TestCheckFindsOrphans(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	a := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ada@example.org"})
	if err := s.Store.DeleteAccount(t.Context(), mail.AccountID(a.ID), nil); err != nil {
		t.Fatal(err)
	}
	err := s.Store.Update(t.Context(), []mail.AccountID{77}, nil, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) })
	if err != nil {
		t.Fatal(err)
	}
	f := run[Findings](t, s.Local(), "check", Check{})
	all := strings.Join(f.Problems, "\n")
	for _, want := range []string{"account 77 has mail but is not in the directory", "account 1 (ada@example.org) is in the directory but has no mailboxes"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %s", want, all)
		}
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var f Findings
	for i := range maxFindings + 5 {
		f.add("problem %d", i)
	}
	if len(f.Problems) != maxFindings || f.More != 5 {
		t.Error(len(f.Problems), f.More)
	}
}

// Every operation survives input that is nonsense, and says what is wrong.
func TestNonsense(t *testing.T) {
	s := system(t)
	for _, op := range Operations() {
		for _, in := range []string{`{`, `[]`, `"x"`} {
			if _, err := s.Run(t.Context(), op.Name, json.RawMessage(in)); mail.KindOf(err) != mail.Invalid {
				t.Errorf("%s %s: %v", op.Name, in, err)
			}
		}
		for _, in := range []string{`{"name":5}`, `{"ids":"x","name":[],"address":{},"deep":"x"}`, `{"name":"\u0000@\n","address":"\u0000","targets":["x"],"ids":["-1"]}`} {
			_, _ = s.Run(t.Context(), op.Name, json.RawMessage(in)) // must not panic
		}
	}
}

func TestOperationNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range Operations() {
		if seen[op.Name] {
			t.Errorf("%s twice", op.Name)
		}
		seen[op.Name] = true
	}
}

func socket(t *testing.T, s *System, dir string) *Server {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(s, dir)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(srv.Shutdown(ctx), <-done); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, SocketName)); err == nil {
			t.Error("the socket is left behind")
		}
	})
	return srv
}

// A data directory may have a path that no socket can have.
func TestSocketInADeepDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), dir); err != ErrNotRunning {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, SocketName), nil, 0o600); err != nil { // as if left behind
		t.Fatal(err)
	}
	socket(t, system(t), dir)
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	run[Domain](t, c, "domain.add", Named{Name: "example.org"})
	if got := run[Domains](t, c, "domain.list", None{}); len(got.Domains) != 1 {
		t.Errorf("%+v", got)
	}
	err = c.Call(t.Context(), "account.add", AccountAdd{Address: "x@nowhere.org"}, &Account{})
	if mail.KindOf(err) != mail.NotFound || !strings.Contains(mail.TextOf(err), "posthouse domain add nowhere.org") {
		t.Errorf("%v", err)
	}
}

func TestSocketBoundsRequests(t *testing.T) {
	dir := t.TempDir()
	socket(t, system(t), dir)
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Call(t.Context(), "domain.add", Named{Name: strings.Repeat("x", maxRequest+1)}, &Domain{})
	if k := mail.KindOf(err); k != mail.TooLarge && k != mail.Unavailable { // cut off before it could read the answer
		t.Errorf("%v", err)
	}
}

func TestOnlyUnixPeers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if permitted(a) {
		t.Error("whoever has no user id must not get in")
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"ada@example.org", "ben@example.org"}
	for in, want := range map[string]string{"bne@example.org": "ben@example.org", "aad@example.org": "ada@example.org", "zoe@example.org": "", "": ""} {
		if got := didYouMean(in, names); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// A store that fails passes its reason on.
func TestFullDisk(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	_, err := s.Directory.AddAccount(t.Context(), directory.NewAccount{Address: mail.Address{Local: "ada", Domain: "example.org"}},
		func(context.Context, mail.AccountID, *engine.Batch) error {
			return fmt.Errorf("store: %w", engine.ErrFull)
		})
	if mail.KindOf(err) != mail.Unavailable || !strings.Contains(mail.TextOf(err), "disk is full") {
		t.Errorf("%v", err)
	}
}

// A quota is the directory's and the store's in one commit.
func TestQuota(t *testing.T) {
	s := system(t)
	s.DefaultQuota = 2000
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	a := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ada@example.org"})
	if a.Quota != 2000 {
		t.Fatalf("%+v", a)
	}
	fits := func() bool {
		t.Helper()
		acct, err := s.Store.Account(t.Context(), mail.AccountID(a.ID))
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Store.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if _, err := fmt.Fprintf(st, "Subject: x\r\n\r\n%s\r\n", strings.Repeat("x", 3000)); err != nil {
			t.Fatal(err)
		}
		if err := st.Finish(); err != nil {
			t.Fatal(err)
		}
		err = acct.Update(t.Context(), func(tx *store.Tx) error {
			box, err := tx.Mailbox("INBOX")
			if err == nil {
				_, err = tx.Append(box.ID, st, store.AppendOptions{})
			}
			return err
		})
		if err != nil && mail.KindOf(err) != mail.OverQuota {
			t.Fatal(err)
		}
		return err == nil
	}
	if fits() {
		t.Error("3 kB in 2")
	}
	more, none := int64(5000), int64(0)
	if a := run[Account](t, s.Local(), "account.set", AccountSet{Name: "ada@example.org", QuotaSet: QuotaSet{Quota: &more}}); a.Quota != more || !fits() || fits() {
		t.Errorf("%+v: one of 3 kB fits, not two", a)
	}
	if run[Account](t, s.Local(), "account.set", AccountSet{Name: "ada@example.org", QuotaSet: QuotaSet{Quota: &none}}); !fits() {
		t.Error("without quota")
	}
	few := int64(3)
	run[Domain](t, s.Local(), "domain.set", DomainSet{Name: "example.org", Quota: &more, Default: &Quota{Bytes: 9000, Mailboxes: 7}})
	if fits() {
		t.Error("the domain is full")
	}
	b := run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ben@example.org", QuotaSet: QuotaSet{Messages: &few}})
	if b.Quota != 9000 || b.QuotaMessages != 3 || b.QuotaMailboxes != 7 {
		t.Errorf("%+v", b)
	}
	if run[Domain](t, s.Local(), "domain.set", DomainSet{Name: "example.org", Quota: &none, NoDefault: true}); !fits() {
		t.Error("without a quota of the domain")
	}
	bad := int64(-1)
	if err := s.Local().Call(t.Context(), "domain.set", DomainSet{Name: "example.org", Default: &Quota{Messages: bad}}, nil); mail.KindOf(err) != mail.Invalid {
		t.Errorf("negative: %v", err)
	}
}

// The log says what was done and to whom, and no secret.
func TestLog(t *testing.T) {
	s := system(t)
	var log bytes.Buffer
	s.Logger = slog.New(slog.NewTextHandler(&log, nil))
	run[Domain](t, s.Local(), "domain.add", Named{Name: "logged.test"})
	run[Account](t, s.Local(), "account.add", AccountAdd{Address: "ada@logged.test", Password: "do not tell"})
	for _, want := range []string{"op=domain.add on=[logged.test]", "op=account.add on=[ada@logged.test]"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "do not tell") {
		t.Errorf("a password is in the log:\n%s", log.String())
	}
}
