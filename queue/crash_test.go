package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// A failing engine loses its power at the k-th commit: before it, or after it but
// before anyone knows. Or it is full for a while.
type failing struct {
	engine.Engine
	mu      sync.Mutex
	n, at   int
	applied bool // the k-th commit takes place
	full    bool
	refused chan struct{} // one for each commit while full
	died    chan struct{} // closed at the k-th commit
}

func newFailing(at int, applied bool) *failing {
	return &failing{Engine: mem.New(), at: at, applied: applied, refused: make(chan struct{}, 100), died: make(chan struct{})}
}

type failed struct{ err error }

func (f failed) Wait() (engine.Pos, error) { return 0, f.err }

func (f *failing) Commit(ctx context.Context, b ...*engine.Batch) engine.Pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n == f.at {
		close(f.died)
	}
	switch {
	case f.full:
		f.refused <- struct{}{}
		return failed{engine.ErrFull}
	case f.at == 0 || f.n < f.at:
		return f.Engine.Commit(ctx, b...)
	case f.n == f.at && f.applied:
		_, err := f.Engine.Commit(ctx, b...).Wait()
		return failed{errors.Join(engine.ErrUnavailable, err)}
	}
	return failed{engine.ErrUnavailable}
}

func (f *failing) setFull(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = on
}

// A storing injector puts the DSN into the engine, in the one commit.
type storing struct {
	eng engine.Engine
	mu  sync.Mutex
	n   int
}

func (s *storing) Inject(ctx context.Context, env mail.Envelope, content []byte, also *engine.Batch) error {
	s.mu.Lock()
	s.n++
	key := fmt.Appendf(nil, "dsn%p%d", s, s.n)
	s.mu.Unlock()
	b := &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: key, Val: content}}}
	if _, err := s.eng.Commit(ctx, b, also).Wait(); err != nil {
		return &mail.Error{Kind: mail.Unavailable, Err: err}
	}
	return nil
}

func reports(eng engine.Engine) []string {
	r := eng.Snapshot(1)
	defer r.Close()
	var out []string
	_ = r.Scan(nil, nil, func(_, val []byte) bool {
		out = append(out, string(val))
		return true
	})
	return out
}

// TestPowerFailure stops the world at each commit, on either side of it. What was
// acknowledged arrives, at most one transaction is repeated, each failure is
// reported once.
func TestPowerFailure(t *testing.T) {
	commits := powerFailure(t, 0, false)
	if commits < 6 {
		t.Fatalf("only %d commits", commits)
	}
	for at := 1; at <= commits; at++ {
		powerFailure(t, at, false)
		powerFailure(t, at, true)
	}
}

func powerFailure(t *testing.T, at int, applied bool) (commits int) {
	t.Helper()
	asked := map[string]int{}
	var mu sync.Mutex
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: func(c smtptest.Command) smtptest.Reaction {
		mu.Lock()
		defer mu.Unlock()
		if c.Verb == "RCPT" && strings.Contains(c.Arg, "never") {
			return smtptest.Reaction{Reply: "550 5.1.1 no"}
		}
		if c.Verb == "RCPT" && strings.Contains(c.Arg, "later") {
			if asked[c.Arg]++; asked[c.Arg] == 1 {
				return smtptest.Reaction{Reply: "450 4.2.0 later"}
			}
		}
		return smtptest.Reaction{}
	}})
	eng := newFailing(at, applied)
	base := eng.Engine
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Engine = eng; o.Limits.PerDestination = 1 })
	w.close()
	w.eng = base
	run := func(eng engine.Engine) {
		w.opts.Engine = eng
		q, err := queue.Open(t.Context(), w.opts)
		if err != nil {
			t.Fatal(err)
		}
		w.q, w.once = q, sync.Once{}
		q.Start(&storing{eng: eng})
	}
	run(eng)
	var acked []string
	for _, to := range [][]string{{"x@b.test"}, {"now@b.test", "later@b.test", "never@b.test"}, {"y@gone.test"}} {
		err := w.q.Add(t.Context(), envelope(to...), queue.Message{Blob: &engine.Blob{Bytes: []byte(text)}, Size: int64(len(text))})
		if err == nil {
			acked = append(acked, to...)
		}
	}
	settle(w, eng.died)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = w.q.Close(ctx)
	run(base) // the next start
	settle(w, nil)
	w.empty()
	w.check()
	verify(t, fmt.Sprintf("commit %d (%v)", at, applied), acked, srv.Messages(), reports(base))
	w.close()
	return eng.n
}

// settle lets time pass until the queue is empty or the power is gone.
func settle(w *world, died <-chan struct{}) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-died:
			cancel()
		case <-done:
		}
	}()
	for range 100 {
		err := w.q.Idle(ctx)
		select {
		case <-died:
			return
		default:
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if len(w.list()) == 0 {
			return
		}
		w.clock.add(10 * time.Minute)
	}
	w.t.Fatal("it does not end")
}

func verify(t *testing.T, name string, acked []string, msgs []smtptest.Message, dsns []string) {
	t.Helper()
	took := map[string]int{}
	for _, m := range msgs {
		for _, to := range m.To {
			took[strings.Trim(to, "<>")]++
		}
	}
	repeated := 0
	for _, to := range acked {
		fails := strings.HasPrefix(to, "never@") || strings.HasSuffix(to, "@gone.test")
		told := 0
		for _, d := range dsns {
			told += strings.Count(d, "Final-Recipient: rfc822; "+to)
		}
		switch n := took[to]; {
		case fails && (n != 0 || told != 1):
			t.Errorf("%s: %s was taken %d times and reported %d times", name, to, n, told)
		case !fails && (n < 1 || n > 2 || told != 0):
			t.Errorf("%s: %s was taken %d times and reported %d times", name, to, n, told)
		case n == 2:
			repeated++
		}
	}
	if repeated > 1 {
		t.Errorf("%s: %d recipients got it twice", name, repeated)
	}
}

// A full disk: what servers answered is kept until it can be committed, nothing new
// begins, and nothing is sent twice.
func TestFullDisk(t *testing.T) {
	eng := newFailing(0, false)
	started, goOn := make(chan struct{}, 100), make(chan struct{})
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "." {
			started <- struct{}{}
			<-goOn
		}
		return smtptest.Reaction{}
	}})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Engine = eng; o.Limits.PerDestination = 1 })
	w.eng = eng
	w.add("a@b.test")
	<-started
	w.add("b@b.test")
	w.add("c@implicit.test")
	<-started
	eng.setFull(true)
	close(goOn)
	for range 4 { // both results, and both again
		<-eng.refused
	}
	if n := len(srv.Messages()); n != 2 {
		t.Errorf("%d messages sent to a full disk's bookkeeping", n)
	}
	eng.setFull(false)
	w.idle()
	w.empty()
	if n := len(srv.Messages()); n != 3 {
		t.Errorf("%d messages", n)
	}
}

func TestRestart(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "", "450 4.2.0 later")})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Spread = 30 * time.Second })
	for i := range 100 {
		w.add(fmt.Sprintf("r%d@b.test", i))
	}
	w.idle()
	w.reopen()
	w.idle()
	if s := w.q.Stats(); s.Entries != 100 || s.Attempts != 0 {
		t.Errorf("%+v", s)
	}
	// Late work comes back spread over some time, not as a wave.
	w.close()
	w.clock.add(10 * time.Minute)
	w.start()
	w.idle()
	first := w.q.Stats().Attempts
	w.clock.add(2500 * time.Millisecond)
	w.idle()
	half := w.q.Stats().Attempts
	w.clock.add(2600 * time.Millisecond)
	w.idle()
	if all := w.q.Stats().Attempts; first > 1 || half < 40 || half > 60 || all != 100 {
		t.Errorf("attempts: %d, %d, %d", first, half, all)
	}
	w.check()
}
