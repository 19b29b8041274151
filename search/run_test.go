package search

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// box is an account with one mailbox full of messages, numbered from 1.
type box struct {
	acct *store.Account
	snap *store.Snapshot
}

func newBox(t testing.TB, messages ...string) box {
	t.Helper()
	ctx := context.Background()
	eng := mem.New()
	st, err := store.Open(ctx, engine.Engine(eng), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close(); eng.Close() })
	err = st.Update(ctx, []mail.AccountID{1}, nil, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) })
	if err != nil {
		t.Fatal(err)
	}
	b := box{}
	if b.acct, err = st.Account(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		b.add(t, st, i, strings.ReplaceAll(m, "\n", "\r\n"))
	}
	err = b.acct.View(ctx, func(v *store.View) error {
		inbox, err := v.Mailbox("INBOX")
		if err == nil {
			b.snap, err = v.Snapshot(inbox.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var firstDay = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// add appends message i, received i days after the first day; every second one
// is \Seen.
func (b *box) add(t testing.TB, st *store.Store, i int, raw string) {
	t.Helper()
	ctx := context.Background()
	m, err := st.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err = m.Write([]byte(raw)); err == nil {
		err = m.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = b.acct.Update(ctx, func(tx *store.Tx) error {
		inbox, err := tx.Mailbox("INBOX")
		if err != nil {
			return err
		}
		o := store.AppendOptions{InternalDate: firstDay.AddDate(0, 0, i)}
		if i%2 == 1 {
			o.Flags = []mail.Flag{mail.FlagSeen, "$Work"}
		}
		_, err = tx.Append(inbox.ID, m, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b box) run(t testing.TB, k Key) (found []int) {
	t.Helper()
	err := Run(context.Background(), b.acct, b.snap, k, func(i int, row store.Row) bool {
		found = append(found, i+1)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var testMessages = []string{
	"From: Ada <ada@demo.test>\nTo: ben@demo.test\nSubject: Lunch\nDate: Sun, 1 Mar 2026 23:30:00 -0800\n\nShall we eat at noon?\n",
	"From: =?utf-8?q?J=C3=B6rg?= <j@demo.test>\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\nDate: Mon, 2 Mar 2026 09:00:00 +0000\n" +
		"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe aus K=C3=B6ln, wir sehen uns mor=\ngen.\n",
	"From: list@demo.test\nSubject: News\nX-Empty:\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>Spring <b>sale</b>&amp;more</p>\n" +
		"--b\nContent-Type: application/octet-stream; name=hidden.bin\nContent-Disposition: attachment\n\nnoontime bytes\n--b--\n",
	"Subject: no date\n\n" + strings.Repeat("filler ", 20000) + "haystack-end\n",
}

// RFC 9051 §6.4.4, key by key.
func TestKeys(t *testing.T) {
	b := newBox(t, testMessages...)
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name string
		key  Key
		want []int
	}{
		{"all", All{}, []int{1, 2, 3, 4}},
		{"empty and", And{}, []int{1, 2, 3, 4}},
		{"empty or", Or{}, nil},
		{"uids", UIDs{{First: 2, Last: 3}}, []int{2, 3}},
		{"seen", Flag(mail.FlagSeen), []int{2, 4}},
		{"keyword without case", Flag("$WORK"), []int{2, 4}},
		{"not seen", Not{Flag(mail.FlagSeen)}, []int{1, 3}},
		{"larger", Larger(100_000), []int{4}},
		{"smaller", Smaller(100_000), []int{1, 2, 3}},
		{"modseq", ModSeq(b.snap.Row(2).ModSeq), []int{3, 4}},
		{"received since", Received{From: day(3)}, []int{3, 4}},
		{"received on", Received{From: day(2), To: day(3)}, []int{2}},
		{"sent on its own day", Sent{From: day(1), To: day(2)}, []int{1}},
		{"sent since", Sent{From: day(2)}, []int{2}},
		{"email", EmailID(b.snap.Row(1).Email), []int{2}},
		{"attachment", HasAttachment{}, []int{3}},
		{"subject", Header{"Subject", "lunch"}, []int{1}},
		{"encoded subject", Header{"SUBJECT", "grüße"}, []int{2}},
		{"encoded name", Header{"from", "JÖRG"}, []int{2}},
		{"address", Header{"from", "demo.test"}, []int{1, 2, 3}},
		{"has field", Header{"To", ""}, []int{1}},
		{"has empty field", Header{"X-Empty", ""}, []int{3}},
		{"body", Body("noon"), []int{1}},
		{"body does not see the header", Body("lunch"), nil},
		{"body across a soft line break", Body("MORGEN"), []int{2}},
		{"body of html is its text", Body("sale&more"), []int{3}},
		{"tags are no text", Body("<b>"), nil},
		{"far into a large body", Body("haystack-END"), []int{4}},
		{"body holds the header of parts", Body("hidden.bin"), []int{3}},
		{"text sees both", Text("lunch"), []int{1}},
		{"text sees field names", Text("x-empty"), []int{3}},
		{"or", Or{Header{"subject", "news"}, Text("noon")}, []int{1, 3}},
		{"and, dear key first", And{Body("grüße"), Flag(mail.FlagSeen)}, []int{2}},
		{"not text", Not{Text("noon")}, []int{2, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := b.run(t, c.key); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

// TestStops: found decides how far a search goes, and so does the context.
func TestStops(t *testing.T) {
	b := newBox(t, testMessages...)
	n := 0
	if err := Run(context.Background(), b.acct, b.snap, All{}, func(int, store.Row) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("stopped after %d (%v), want 2", n, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Run(ctx, b.acct, b.snap, Body("x"), func(int, store.Row) bool { return true }); err != context.Canceled {
		t.Errorf("a cancelled search ended with %v", err)
	}
}

// TestCheapFirst: a message that a cheap key refuses is never read, wherever the
// dear key stands.
func TestCheapFirst(t *testing.T) {
	k := prepare(And{Text("x"), Or{Body("y"), Flag("a")}, Header{"s", "z"}, Flag("b")}).(And)
	var costs []cost
	for _, c := range k {
		costs = append(costs, c.cost())
	}
	if !slices.IsSorted(costs) {
		t.Errorf("children cost %v, want ascending", costs)
	}
}

func BenchmarkRows(b *testing.B) {
	msgs := make([]string, 2000)
	for i := range msgs {
		msgs[i] = fmt.Sprintf("Subject: %d\n\nx\n", i)
	}
	x := newBox(b, msgs...)
	k := And{Not{Flag(mail.FlagSeen)}, Received{From: firstDay}}
	b.ReportAllocs()
	for b.Loop() {
		Run(context.Background(), x.acct, x.snap, k, func(int, store.Row) bool { return true })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(msgs)), "ns/msg")
}
