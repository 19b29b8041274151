package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/mailauth/authres"
	"posthouse/message"
	"posthouse/smtp/wire"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// A faultyEngine fails commits when it is told to.
type faultyEngine struct {
	*mem.Engine
	mu    sync.Mutex
	fault error
	stage error
}

func (e *faultyEngine) setFault(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = err
}

func (e *faultyEngine) Commit(ctx context.Context, b ...*engine.Batch) engine.Pending {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault != nil {
		return failed{e.fault}
	}
	return e.Engine.Commit(ctx, b...)
}

func (e *faultyEngine) Stage(ctx context.Context) (engine.Staged, error) {
	if e.stage != nil {
		return nil, e.stage
	}
	return e.Engine.Stage(ctx)
}

type failed struct{ err error }

func (f failed) Wait() (engine.Pos, error) { return 0, f.err }

// A testQueue stores envelopes as text under q keys.
type testQueue struct {
	n, woken int
	refuse   error
}

func (q *testQueue) AddBatch(_ context.Context, env *mail.Envelope, prefix []byte, msg *store.Staged) (*engine.Batch, error) {
	if q.refuse != nil {
		return nil, q.refuse
	}
	q.n++
	text := "from=" + env.ReversePath.String()
	for _, r := range env.Recipients {
		text += " to=" + r.Address.String() + " orcpt=" + r.Original
	}
	return &engine.Batch{Expect: engine.AnyVersion,
		Ops: []engine.Op{{Kind: engine.Set, Key: []byte("q" + strconv.Itoa(q.n)), Val: []byte(text + "\n" + string(prefix)), Blob: msg.Blob()}}}, nil
}

func (q *testQueue) Wake(...*store.Batch) { q.woken++ }

// A house has ada and ben, and ghost, who has no mailboxes; both leads to the
// first two, away and split elsewhere.
type house struct {
	t     *testing.T
	eng   *faultyEngine
	st    *store.Store
	dir   *directory.Directory
	queue *testQueue
	svc   *Service
	ada   directory.Account
}

func addr(s string) mail.Address {
	a, err := wire.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHouse(t *testing.T, change func(*Options)) *house {
	ctx := t.Context()
	h := &house{t: t, eng: &faultyEngine{Engine: mem.New()}, queue: &testQueue{}}
	var err error
	h.st, err = store.Open(ctx, h.eng, store.Options{})
	must(t, err)
	h.dir, err = directory.Open(ctx, h.eng, directory.Options{Hash: directory.HashCost{MemoryKiB: 64, Passes: 1, Lanes: 1}, ProofIterations: 4096})
	must(t, err)
	_, err = h.dir.AddDomain(ctx, "demo.test")
	must(t, err)
	withMail := func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		return h.st.Update(ctx, []mail.AccountID{id}, []*engine.Batch{b}, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) })
	}
	h.ada, err = h.dir.AddAccount(ctx, directory.NewAccount{Address: addr("ada@demo.test"), Admin: true}, withMail)
	must(t, err)
	_, err = h.dir.AddAccount(ctx, directory.NewAccount{Address: addr("ben@demo.test")}, withMail)
	must(t, err)
	_, err = h.dir.AddAccount(ctx, directory.NewAccount{Address: addr("ghost@demo.test")}, nil)
	must(t, err)
	for _, a := range []directory.Alias{
		{Address: addr("both@demo.test"), Targets: []mail.Address{addr("ada@demo.test"), addr("ben@demo.test")}},
		{Address: addr("away@demo.test"), Targets: []mail.Address{addr("one@far.test"), addr("two@far.test")}},
		{Address: addr("team@demo.test"), Targets: []mail.Address{addr("both@demo.test"), addr("away@demo.test")}},
		{Address: addr("split@demo.test"), Targets: []mail.Address{addr("team@demo.test"), addr("three@far.test")}},
	} {
		_, err := h.dir.SetAlias(ctx, a)
		must(t, err)
	}
	o := Options{Store: h.st, Directory: h.dir, Queue: h.queue, Hostname: "mx.demo.test", Now: func() time.Time { return time.Unix(1.8e9, 0).UTC() }}
	if change != nil {
		change(&o)
	}
	h.svc = New(o)
	t.Cleanup(func() {
		h.eng.setFault(nil)
		must(t, h.st.Check(context.Background(), true, func(id mail.AccountID, p string) { t.Errorf("account %d: %s", id, p) }))
		must(t, h.st.Close())
		must(t, h.eng.Close())
	})
	return h
}

// send runs one transaction up to the end of its data.
func (h *house) send(sess *Session, from string, to []string, message string) *Transaction {
	h.t.Helper()
	env := mail.Envelope{TraceID: "trace1"}
	if from != "" {
		env.ReversePath = addr(from)
	}
	t := h.svc.Begin(sess, env)
	h.t.Cleanup(t.Close)
	if r := t.Sender(h.t.Context()); !r.Positive() {
		h.t.Fatal(r)
	}
	for _, a := range to {
		if r := t.Recipient(h.t.Context(), mail.Recipient{Address: addr(a)}); !r.Positive() {
			h.t.Fatal(a, r)
		}
	}
	if r := t.Open(h.t.Context()); r.Code != 0 {
		h.t.Fatal(r)
	}
	_, _ = io.WriteString(t, message)
	return t
}

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
		must(h.t, err)
		snap, err := v.Snapshot(box.ID)
		must(h.t, err)
		for _, row := range snap.Rows(0, snap.Len()) {
			e, err := v.Email(row.Email)
			must(h.t, err)
			b, err := a.Read(ctx, nil, e)
			must(h.t, err)
			all = append(all, string(b))
		}
		return nil
	}))
	return all
}

func (h *house) queued() []string {
	r := h.eng.Snapshot(0)
	defer r.Close()
	var all []string
	must(h.t, r.Scan([]byte("q"), []byte("r"), func(_, val []byte) bool {
		all = append(all, string(val))
		return true
	}))
	return all
}

// wantMail checks how many messages lie in both inboxes and the queue.
func (h *house) wantMail(ada, ben, queued int) {
	h.t.Helper()
	if a, b, q := len(h.inbox("ada@demo.test")), len(h.inbox("ben@demo.test")), len(h.queued()); a != ada || b != ben || q != queued {
		h.t.Errorf("ada has %d, ben %d, the queue %d; want %d, %d, %d", a, b, q, ada, ben, queued)
	}
}

const hello = "From: eve@far.test\r\nSubject: hello\r\n\r\nbody\r\n"

// Local recipients, aliases of aliases and the world: one commit, one blob.
func TestOneCommitOneBlob(t *testing.T) {
	h := newHouse(t, nil)
	before := h.eng.Stats()
	tx := h.send(&Session{Origin: FromMX, Hello: "far.test"}, "eve@far.test", []string{"split@demo.test", "ada@demo.test", "away@demo.test"}, hello)
	if r := tx.Accept(t.Context()); r.String() != "250 2.0.0 Ok: stored as trace1" {
		t.Fatal(r)
	}
	after := h.eng.Stats()
	if n := after.Commits - before.Commits; n != 1 {
		t.Errorf("%d commits", n)
	}
	if n := after.BlobBytes - before.BlobBytes; n != uint64(len(hello)) {
		t.Errorf("%d blob octets for %d", n, len(hello))
	}
	h.wantMail(1, 1, 1) // away leads nowhere that split does not
	if h.queue.woken != 1 {
		t.Error("the queue was not woken")
	}
	q := strings.Join(h.queued(), "\n")
	for _, want := range []string{
		"to=one@far.test orcpt=rfc822;split@demo.test to=two@far.test orcpt=rfc822;split@demo.test to=three@far.test orcpt=rfc822;split@demo.test\nDelivered-To: split@demo.test\r\nReceived: ",
	} {
		if !strings.Contains(q, want) {
			t.Errorf("not queued: %q in %q", want, q)
		}
	}
	want := "Return-Path: <eve@far.test>\r\nDelivered-To: split@demo.test\r\nReceived: from far.test\r\n\tby mx.demo.test with SMTP id trace1;\r\n\tFri, 15 Jan 2027 08:00:00 +0000\r\n" + hello
	if got := h.inbox("ben@demo.test")[0]; got != want {
		t.Errorf("ben has %q", got)
	}
}

// A commit that fails stores nothing, and the peer may try again.
func TestNothingIsStoredOnFailure(t *testing.T) {
	for _, tt := range []struct {
		fault error
		reply string
	}{
		{engine.ErrFull, "452 4.3.1"},
		{fmt.Errorf("disk: %w", engine.ErrFull), "452 4.3.1"},
		{engine.ErrUnavailable, "451 4.3.0"},
		{errors.New("a bug"), "451 4.3.0"},
	} {
		h := newHouse(t, nil)
		to := []string{"ada@demo.test", "split@demo.test"}
		h.eng.setFault(tt.fault)
		tx := h.send(&Session{Origin: FromMX}, "eve@far.test", to, hello)
		if r := tx.Accept(t.Context()); !strings.HasPrefix(r.String(), tt.reply) {
			t.Errorf("%v gives %v", tt.fault, r)
		}
		if !errors.Is(tx.Err(), tt.fault) {
			t.Errorf("the log would say %v", tx.Err())
		}
		for i, r := range h.send(&Session{Origin: FromLMTP}, "eve@far.test", to, hello).AcceptEach(t.Context()) {
			if !strings.HasPrefix(r.String(), tt.reply) {
				t.Errorf("LMTP, recipient %d: %v gives %v", i, tt.fault, r)
			}
		}
		h.eng.setFault(nil)
		h.wantMail(0, 0, 0)
		if errors.Is(tt.fault, engine.ErrUnavailable) {
			continue
		}
		if r := h.send(&Session{Origin: FromMX}, "eve@far.test", to, hello).Accept(t.Context()); !r.Positive() {
			t.Error("later", r)
		}
		h.wantMail(1, 1, 1)
	}
}

func TestQueueRefuses(t *testing.T) {
	h := newHouse(t, nil)
	h.queue.refuse = &mail.Error{Kind: mail.Unavailable, Op: "test"}
	tx := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"ada@demo.test", "away@demo.test"}, hello)
	if r := tx.Accept(t.Context()); r.Code != 451 {
		t.Error(r)
	}
	h.wantMail(0, 0, 0)
}

// SMTP has one reply: if one recipient cannot be served, none is.
func TestAllOrNothing(t *testing.T) {
	h := newHouse(t, nil)
	tx := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"ada@demo.test", "ghost@demo.test", "away@demo.test"}, hello)
	if r := tx.Accept(t.Context()); r.Code != 451 {
		t.Error(r)
	}
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"ghost@demo.test"}, hello).Accept(t.Context()); r.Code != 550 {
		t.Error("alone:", r)
	}
	h.wantMail(0, 0, 0)
}

// LMTP has one for each: who can be served is, once, and never twice.
func TestEachOnItsOwn(t *testing.T) {
	h := newHouse(t, nil)
	to := []string{"ghost@demo.test", "both@demo.test", "ada@demo.test", "split@demo.test"}
	var codes []int
	for _, r := range h.send(&Session{Origin: FromLMTP}, "eve@far.test", to, hello).AcceptEach(t.Context()) {
		codes = append(codes, r.Code)
	}
	if fmt.Sprint(codes) != "[550 250 250 250]" {
		t.Error(codes)
	}
	h.wantMail(1, 1, 1)
}

func TestSubmissionRules(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	reply := func(sess *Session, from, to string) string {
		env := mail.Envelope{}
		if from != "" {
			env.ReversePath = addr(from)
		}
		tx := h.svc.Begin(sess, env)
		defer tx.Close()
		if r := tx.Sender(ctx); !r.Positive() {
			return r.String()[:9]
		}
		return tx.Recipient(ctx, mail.Recipient{Address: addr(to)}).String()[:9]
	}
	ada := &Session{Origin: FromSubmission, Account: &h.ada}
	for _, tt := range []struct {
		sess           *Session
		from, to, want string
	}{
		{ada, "ada@demo.test", "any@far.test", "250 2.1.5"},
		{ada, "", "any@far.test", "250 2.1.5"},
		{ada, "ben@demo.test", "any@far.test", "550 5.7.1"},
		{ada, "both@demo.test", "any@far.test", "550 5.7.1"},
		{ada, "ada@far.test", "any@far.test", "550 5.7.1"},
		{ada, "ada@demo.test", "nobody@demo.test", "550 5.1.1"},
		{&Session{Origin: FromSubmission}, "ada@demo.test", "any@far.test", "530 5.7.0"},
		{&Session{Origin: FromMX}, "ada@demo.test", "any@far.test", "550 5.7.1"},
		{&Session{Origin: FromMX, Account: &h.ada}, "ada@demo.test", "any@far.test", "550 5.7.1"},
		{&Session{Origin: FromLMTP}, "", "any@far.test", "550 5.7.1"},
		{&Session{Origin: FromMX}, "ada@demo.test", "away@demo.test", "250 2.1.5"},
	} {
		if got := reply(tt.sess, tt.from, tt.to); got != tt.want {
			t.Errorf("%v %s to %s: %s, want %s", tt.sess.Origin, tt.from, tt.to, got, tt.want)
		}
	}
	h.svc.opts.Queue = nil
	if got := reply(ada, "ada@demo.test", "any@far.test"); got != "550 5.7.1" {
		t.Error("without a queue:", got)
	}
	if got := reply(&Session{Origin: FromMX}, "", "away@demo.test"); got != "451 4.3.0" {
		t.Error("an alias without a queue:", got)
	}
}

// The queue's reports go in with the commit that records them.
func TestInject(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	also := func(key string) *engine.Batch {
		return &engine.Batch{Expect: engine.AnyVersion, CAS: []engine.CAS{{Key: []byte(key)}}, Ops: []engine.Op{{Kind: engine.Set, Key: []byte(key), Val: []byte("done")}}}
	}
	report := []byte("From: postmaster@demo.test\r\nSubject: Undeliverable\r\n\r\n")
	to := func(a string) mail.Envelope {
		return mail.Envelope{Recipients: []mail.Recipient{{Address: addr(a)}}, TraceID: "dsn1"}
	}
	must(t, h.svc.Inject(ctx, to("ada@demo.test"), report, also("r1")))
	if err := h.svc.Inject(ctx, to("ada@demo.test"), report, also("r1")); mail.KindOf(err) != mail.Conflict {
		t.Error("the same report again:", err)
	}
	must(t, h.svc.Inject(ctx, to("eve@far.test"), report, also("r2")))
	must(t, h.svc.Inject(ctx, to("ben@demo.test"), report, nil))
	h.wantMail(1, 1, 1)
	if got := h.inbox("ada@demo.test")[0]; !strings.HasPrefix(got, "Return-Path: <>\r\nDelivered-To: ada@demo.test\r\nReceived: by mx.demo.test id dsn1\r\n\tfor <ada@demo.test>;\r\n\t") {
		t.Errorf("%q", got)
	}
	for a, kind := range map[string]mail.Kind{"nobody@demo.test": mail.NotFound, "ghost@demo.test": mail.NotFound} {
		if err := h.svc.Inject(ctx, to(a), report, also("r3")); mail.KindOf(err) != kind {
			t.Error(a, err)
		}
	}
	h.eng.setFault(engine.ErrFull)
	if err := h.svc.Inject(ctx, to("ada@demo.test"), report, also("r4")); mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
	h.eng.setFault(nil)
	if err := h.svc.Inject(ctx, mail.Envelope{}, report, nil); mail.KindOf(err) != mail.Invalid {
		t.Error(err)
	}
	h.wantMail(1, 1, 1)
	r := h.eng.Snapshot(0)
	defer r.Close()
	for key, want := range map[string]bool{"r1": true, "r2": true, "r3": false, "r4": false} {
		if _, err := r.Get([]byte(key)); (err == nil) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// Stages of the future: what they may want is done.
func TestVerdicts(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	a, err := h.st.Account(ctx, h.ada.ID)
	must(t, err)
	must(t, a.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.CreateMailbox(store.NewMailbox{Path: "Lists"})
		return err
	}))
	with := func(r func(context.Context, *Transaction, *message.Header, mail.Recipient) Verdict, method, result string) {
		h.svc.stages = []stage{{name: "test", recipient: r, message: func(context.Context, *Transaction, *message.Header) Verdict {
			return note(authres.Clause{Method: method, Result: result})
		}}}
	}
	filed := func(path string) (n uint32) {
		must(t, a.View(ctx, func(v *store.View) error {
			box, err := v.Mailbox(path)
			n = box.Messages
			return err
		}))
		return n
	}
	with(func(_ context.Context, _ *Transaction, _ *message.Header, r mail.Recipient) Verdict {
		switch r.Address.Local {
		case "ada":
			return Verdict{Action: FileInto, Mailbox: "Lists"}
		case "ben":
			return Verdict{Action: Discard}
		}
		return Verdict{Action: Defer, Reply: replyNotNow}
	}, "spf", "pass")
	replies := h.send(&Session{Origin: FromLMTP}, "eve@far.test", []string{"ada@demo.test", "ben@demo.test", "both@demo.test"}, hello).AcceptEach(ctx)
	if replies[0].Code != 250 || replies[1].Code != 250 || replies[2].Code != 451 || filed("Lists") != 1 {
		t.Error(replies, filed("Lists"))
	}
	h.wantMail(0, 0, 0)
	with(func(context.Context, *Transaction, *message.Header, mail.Recipient) Verdict {
		return Verdict{Action: FileInto, Mailbox: "No such mailbox"}
	}, "dkim", "none")
	if r := h.send(&Session{Origin: FromMX}, "", []string{"ada@demo.test"}, hello).Accept(ctx); !r.Positive() {
		t.Error(r)
	}
	h.wantMail(1, 0, 0)
	if got := h.inbox("ada@demo.test")[0]; !strings.Contains(got, "\r\nAuthentication-Results: mx.demo.test;\r\n\tdkim=none\r\nReceived: ") {
		t.Errorf("%q", got)
	}
}

func TestTooLarge(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.HeaderBytes = 20 })
	if r := h.send(&Session{Origin: FromMX}, "", []string{"ada@demo.test"}, hello).Accept(t.Context()); r.String()[:9] != "552 5.3.4" {
		t.Error(r)
	}
	h.wantMail(0, 0, 0)
}

// A large message lies in the engine before its commit: it is adopted once, also
// when the first try fails.
func TestLargeIsSharedToo(t *testing.T) {
	h := newHouse(t, nil)
	message := hello + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 30000)
	before := h.eng.Stats().BlobBytes
	tx := h.send(&Session{Origin: FromLMTP}, "eve@far.test", []string{"ghost@demo.test", "away@demo.test", "split@demo.test", "ada@demo.test"}, message)
	var codes []int
	for _, r := range tx.AcceptEach(t.Context()) {
		codes = append(codes, r.Code)
	}
	if fmt.Sprint(codes) != "[550 250 250 250]" {
		t.Error(codes)
	}
	h.wantMail(1, 1, 2)
	if n := h.eng.Stats().BlobBytes - before; n != uint64(len(message)) {
		t.Errorf("%d octets stored for %d", n, len(message))
	}
	tx.Close()
	if got := h.inbox("ben@demo.test")[0]; !strings.HasSuffix(got, message) {
		t.Error("ben has something else")
	}
}

// The same alias under many names makes no more copies than it has targets.
func TestNoAmplification(t *testing.T) {
	h := newHouse(t, nil)
	var to []string
	for i := range 100 {
		to = append(to, fmt.Sprintf("split+%d@demo.test", i))
	}
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", to, hello).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	h.wantMail(1, 1, 1)
	if n := strings.Count(h.queued()[0], " to="); n != 3 {
		t.Errorf("%d recipients elsewhere", n)
	}
}

// A full mailbox refuses at RCPT, by the size that was declared, and the message
// goes to the others.
func TestFullMailbox(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		h := newHouse(t, func(o *Options) { o.RefuseOverQuota = refuse })
		a, err := h.st.Account(t.Context(), h.ada.ID)
		must(t, err)
		must(t, a.Update(t.Context(), func(tx *store.Tx) error { return tx.SetQuota(store.Quota{Bytes: 1000}) }))
		want := 452
		if refuse {
			want = 552
		}
		for _, c := range []struct {
			size int64
			to   string
			code int
		}{{0, "ada", 250}, {1000, "ada", 250}, {1001, "ada", want}, {1001, "ben", 250}, {1001, "both", want}, {1001, "far", 550}} {
			tr := h.svc.Begin(&Session{}, mail.Envelope{Size: c.size})
			if r := tr.Recipient(t.Context(), mail.Recipient{Address: addr(c.to + "@demo.test")}); r.Code != c.code {
				t.Errorf("%d bytes for %s: %v, want %d", c.size, c.to, r, c.code)
			}
			tr.Close()
		}
	}
}
