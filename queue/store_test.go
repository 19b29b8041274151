package queue_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// A message for a mailbox here and for others elsewhere is one commit and one blob,
// small or large, on every engine.
func TestWithStore(t *testing.T) {
	for name, open := range map[string]func() engine.Engine{
		"mem": func() engine.Engine { return mem.New() },
		"local": func() engine.Engine {
			e, err := local.Open(t.Context(), local.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			eng := open()
			defer eng.Close()
			for _, size := range []int{100, 3 << 20} {
				withStore(t, eng, size)
			}
		})
	}
}

func withStore(t *testing.T, eng engine.Engine, size int) {
	t.Helper()
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions[:3]})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Engine = eng })
	w.eng = eng
	ctx := t.Context()
	st, err := store.Open(ctx, eng, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	id := mail.AccountID(size)
	if err := st.Update(ctx, []mail.AccountID{id}, nil, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) }); err != nil {
		t.Fatal(err)
	}
	staged, err := st.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	content := text + strings.Repeat("0123456789012345678901234567890\r\n", size/33)
	if _, err := io.WriteString(staged, content); err != nil {
		t.Fatal(err)
	}
	if err := staged.Finish(); err != nil {
		t.Fatal(err)
	}
	env := envelope("x@b.test", "y@implicit.test")
	before := eng.Stats()
	b, err := w.q.AddBatch(ctx, &env, []byte("Received: by us\r\n"), staged)
	if err != nil {
		t.Fatal(err)
	}
	err = st.Update(ctx, []mail.AccountID{id}, []*store.Batch{b}, func(txs []*store.Tx) error {
		box, err := txs[0].Mailbox("INBOX")
		if err != nil {
			return err
		}
		_, err = txs[0].Append(box.ID, staged, store.AppendOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	after := eng.Stats()
	w.q.Wake()
	w.idle()
	if after.Commits-before.Commits != 1 || after.BlobBytes-before.BlobBytes > uint64(len(content)*3/2) {
		t.Errorf("%d commits, %d octets of blobs for %d", after.Commits-before.Commits, after.BlobBytes-before.BlobBytes, len(content))
	}
	msgs := srv.Messages()
	if len(msgs) != 2 || msgs[0].Data != "Received: by us\r\n"+content {
		t.Fatalf("%d messages", len(msgs))
	}
	acct, err := st.Account(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	err = acct.View(ctx, func(v *store.View) error {
		box, err := v.Mailbox("INBOX")
		if err != nil {
			return err
		}
		snap, err := v.Snapshot(box.ID)
		if err != nil {
			return err
		}
		em, err := v.Email(snap.Row(0).Email)
		if err != nil {
			return err
		}
		got, err := acct.Read(ctx, nil, em)
		if err == nil && !bytes.Equal(got, []byte(content)) {
			t.Errorf("the mailbox has %d octets", len(got))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	w.close()
}
