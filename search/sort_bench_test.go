package search

import (
	"context"
	"fmt"
	"testing"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine/mem"
)

// bigBox is a mailbox of n short messages in threads of eight.
func bigBox(b testing.TB, n int) (*store.Account, []store.Row) {
	b.Helper()
	ctx := context.Background()
	eng := mem.New()
	st, err := store.Open(ctx, eng, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close(); eng.Close() })
	err = st.Update(ctx, []mail.AccountID{1}, nil, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) })
	if err != nil {
		b.Fatal(err)
	}
	acct, err := st.Account(ctx, 1)
	if err != nil {
		b.Fatal(err)
	}
	for lo := 0; lo < n; lo += 1000 {
		appendMany(b, st, acct, lo, min(lo+1000, n))
	}
	var rows []store.Row
	err = acct.View(ctx, func(v *store.View) error {
		inbox, err := v.Mailbox("INBOX")
		if err != nil {
			return err
		}
		snap, err := v.Snapshot(inbox.ID)
		for _, row := range snap.Rows(0, snap.Len()) {
			rows = append(rows, row)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return acct, rows
}

func appendMany(b testing.TB, st *store.Store, acct *store.Account, lo, hi int) {
	var ups []*store.Staged
	defer func() {
		for _, u := range ups {
			u.Close()
		}
	}()
	for i := lo; i < hi; i++ {
		u, err := st.Stage(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		ups = append(ups, u)
		refs := ""
		if i%8 > 0 {
			refs = fmt.Sprintf("References: <%d@x.test> <%d@x.test>\r\n", i/8*8, i-1)
		}
		fmt.Fprintf(u, "From: Person %d <p%d@x.test>\r\nTo: ada@x.test\r\nSubject: Re: topic %d\r\nMessage-ID: <%d@x.test>\r\n%sDate: Mon, 4 May 2026 %02d:%02d:%02d +0000\r\n\r\nhi\r\n",
			i%997, i%997, i/8*7919%99991, i, refs, i*7%24, i*13%60, i*17%60)
		if err := u.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	err := acct.Update(context.Background(), func(tx *store.Tx) error {
		inbox, err := tx.Mailbox("INBOX")
		for _, u := range ups {
			if err == nil {
				_, err = tx.Append(inbox.ID, u, store.AppendOptions{})
			}
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSort(b *testing.B) {
	acct, rows := bigBox(b, 100_000)
	quiet := func(int) error { return nil }
	for _, c := range []struct {
		name string
		key  SortKey
	}{{"ARRIVAL", SortKey{By: ByArrival, Reverse: true}}, {"DATE", SortKey{By: ByDate}}, {"SUBJECT", SortKey{By: BySubject}}, {"FROM", SortKey{By: ByFrom}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sort(context.Background(), acct, rows, []SortKey{c.key}, quiet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, by := range map[string]ThreadBy{"ORDEREDSUBJECT": OrderedSubject, "REFERENCES": References, "REFS": Refs} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Thread(context.Background(), acct, rows, by, quiet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
