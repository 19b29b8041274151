package queue_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
	"posthouse/trace"
)

// told is the story of the world's message, without times.
func told(t *testing.T, log *trace.Log, what string) string {
	t.Helper()
	found, _, err := log.Find(t.Context(), trace.Query{Any: what})
	if err != nil || len(found) != 1 {
		t.Fatalf("%q: %d stories, %v", what, len(found), err)
	}
	var b strings.Builder
	for _, s := range found[0].Tell() {
		b.WriteString(s.Text + "\n")
	}
	return b.String()
}

// newTraced is a world whose queue tells the log.
func newTraced(t *testing.T, port uint16, change func(*queue.Options)) (*world, *trace.Log) {
	t.Helper()
	var log *trace.Log
	w := newWorld(t, port, func(o *queue.Options) {
		log = trace.Open(trace.Options{Engine: o.Engine, Now: o.Now})
		o.Trace = log
		if change != nil {
			change(o)
		}
	})
	t.Cleanup(func() {
		w.close()
		_ = log.Close(context.Background())
	})
	return w, log
}

// What the queue does with a message is told in order and in plain words, to the end.
func TestTold(t *testing.T) {
	var later atomic.Bool
	later.Store(true)
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Arg, "no@"):
			return smtptest.Reaction{Reply: "550 5.1.1 no such user"}
		case c.Verb == "RCPT" && later.Load():
			return smtptest.Reaction{Reply: "451 4.7.1 greylisted"}
		}
		return smtptest.Reaction{}
	}})
	w, log := newTraced(t, srv.Addr.Port(), nil)
	w.add("bob@b.test", "no@b.test")
	w.idle()
	id := w.list()[0].ID
	if err := w.q.Hold(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	later.Store(false)
	if err := w.q.Release(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.idle()
	got := told(t, log, id.String())
	at := 0
	for _, want := range []string{
		"mx.b.test", "was asked to take it", "For bob@b.test it is tried again later: 451 4.7.1 greylisted.\n", "For no@b.test it was refused for good",
		"The sender ada@a.test was told: it failed for no@b.test.\n", "It waits, and is tried again at 2026-01-02 03:",
		"An administrator changed it: it is held until it is released.\n", "An administrator changed it: it is no longer held.\n",
		"was asked to take it and answered: 250", "The server of bob@b.test has it.\n"} {
		n := strings.Index(got[at:], want)
		if n < 0 {
			t.Fatalf("no %q, or not there, in\n%s", want, got)
		}
		at += n
	}
}

// The ends that are not happy.
func TestToldFailures(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		do       func(t *testing.T, w *world)
		want     []string
	}{
		{"no such domain", "x@gone.test", nil, []string{"gone.test could not be asked: 550 5.1.2", "For x@gone.test it was refused for good.", "The sender ada@a.test was told: it failed for x@gone.test."}},
		{"nobody answers", "x@b.test", nil, []string{"The servers of b.test could not be asked", "For x@b.test it is tried again later", "It waits, and is tried again at"}},
		{"too old", "x@b.test", func(_ *testing.T, w *world) { w.clock.add(6 * 24 * time.Hour); w.q.Wake(); w.idle() }, []string{"It has waited for too long.", "For x@b.test it was given up: 4", "it failed for x@b.test"}},
		{"dropped", "x@b.test", func(t *testing.T, w *world) {
			if err := w.q.Drop(t.Context(), w.list()[0].ID); err != nil {
				t.Error(err)
			}
		}, []string{"An administrator changed it: it was dropped, and nobody is told."}},
		{"returned", "x@b.test", func(t *testing.T, w *world) {
			if err := w.q.Bounce(t.Context(), w.list()[0].ID); err != nil {
				t.Error(err)
			}
		}, []string{"it is returned to its sender.", "it failed for x@b.test"}},
		{"rerouted", "x@b.test", func(t *testing.T, w *world) {
			if err := w.q.Reroute(t.Context(), w.list()[0].ID, "relay.test:25"); err != nil {
				t.Error(err)
			}
		}, []string{"it goes by relay.test:25."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, log := newTraced(t, 1, nil)
			w.add(tt.to)
			w.idle()
			if tt.do != nil {
				tt.do(t, w)
			}
			got := told(t, log, "T1")
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
		})
	}
}
