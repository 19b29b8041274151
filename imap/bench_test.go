package imap

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"posthouse/store"
)

// benchClient is a connection over loopback with n messages in INBOX, selected.
func benchClient(b *testing.B, n int) (*house, net.Conn, *bufio.Reader) {
	b.Helper()
	h := newHouse(b, Options{AllowPlaintextLogin: true})
	if err := h.fill(1, n); err != nil {
		b.Fatal(err)
	}
	nc, r := h.selected(b)
	return h, nc, r
}

// selected is a connection over loopback that has INBOX selected.
func (h *house) selected(b *testing.B) (net.Conn, *bufio.Reader) {
	b.Helper()
	nc, err := h.login("ada")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	r := bufio.NewReaderSize(nc, 256<<10)
	run(b, nc, r, "s SELECT INBOX")
	return nc, r
}

// fill appends n messages in few transactions.
func (h *house) fill(id int, n int) error {
	ctx := context.Background()
	acct, err := h.store.Account(ctx, 1)
	if err != nil {
		return err
	}
	for at := 0; at < n; at += 1000 {
		var staged []*store.Staged
		for i := at; i < min(n, at+1000); i++ {
			m, err := h.store.Stage(ctx)
			if err != nil {
				return err
			}
			defer m.Close()
			if _, err := io.WriteString(m, sample(i)); err != nil {
				return err
			}
			if err := m.Finish(); err != nil {
				return err
			}
			staged = append(staged, m)
		}
		err := acct.Update(ctx, func(tx *store.Tx) error {
			box, err := tx.Mailbox("INBOX")
			for _, m := range staged {
				if err == nil {
					_, err = tx.Append(box.ID, m, store.AppendOptions{})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// run sends a command and reads to its end; it returns the bytes of the answer.
func run(b *testing.B, w io.Writer, r *bufio.Reader, cmd string) (n int64) {
	b.Helper()
	if _, err := io.WriteString(w, cmd+"\r\n"); err != nil {
		b.Fatal(err)
	}
	tag := cmd[:strings.IndexByte(cmd, ' ')+1]
	for {
		line, err := r.ReadSlice('\n')
		n += int64(len(line))
		if err != nil && err != bufio.ErrBufferFull {
			b.Fatal(err)
		}
		if strings.HasPrefix(string(line[:min(len(line), len(tag))]), tag) {
			return n
		}
	}
}

func BenchmarkFetch(b *testing.B) {
	const messages = 100000
	_, nc, r := benchClient(b, messages)
	for _, items := range []string{"(FLAGS)", "(UID FLAGS INTERNALDATE RFC822.SIZE)", "(ENVELOPE)", "(BODYSTRUCTURE)",
		"(BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])", "(BODY.PEEK[])"} {
		b.Run(items, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(run(b, nc, r, "f FETCH 1:* "+items))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages, "ns/msg")
		})
	}
}

// BenchmarkFetchOne is what mbsync does: one message a command.
func BenchmarkFetchOne(b *testing.B) {
	const messages = 1000
	_, nc, r := benchClient(b, messages)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		run(b, nc, r, fmt.Sprintf("f UID FETCH %d (UID FLAGS BODY.PEEK[])", 1+i%messages))
	}
}

func BenchmarkSelect(b *testing.B) {
	_, nc, r := benchClient(b, 100000)
	run(b, nc, r, "s STORE 1:* +FLAGS.SILENT (\\Seen)")
	for b.Loop() {
		run(b, nc, r, "s SELECT INBOX")
	}
}

func BenchmarkStore(b *testing.B) {
	_, nc, r := benchClient(b, 100000)
	i := 0
	for b.Loop() {
		i++
		run(b, nc, r, fmt.Sprintf("s STORE 1:* %sFLAGS (\\Flagged)", []string{"-", "+"}[i%2]))
	}
}

func BenchmarkNoop(b *testing.B) {
	_, nc, r := benchClient(b, 10)
	b.ReportAllocs()
	for b.Loop() {
		run(b, nc, r, "s NOOP")
	}
}

func BenchmarkAppend(b *testing.B) {
	_, nc, r := benchClient(b, 0)
	body := sample(0) + strings.Repeat("A line of an ordinary message, as people write it.\r\n", 135)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	cmd := fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s", len(body), body)
	for b.Loop() {
		run(b, nc, r, cmd)
	}
}

func BenchmarkLogin(b *testing.B) {
	h := newHouse(b, Options{AllowPlaintextLogin: true})
	for b.Loop() {
		nc, err := h.login("ada")
		if err != nil {
			b.Fatal(err)
		}
		run(b, nc, bufio.NewReader(nc), "a LOGOUT")
		nc.Close()
	}
}

func BenchmarkList(b *testing.B) {
	_, nc, r := benchClient(b, 1)
	for i := range 1000 {
		run(b, nc, r, fmt.Sprintf("c CREATE box%d/sub%d", i%50, i))
	}
	for _, cmd := range []string{`LIST "" *`, `LIST "" %`, `LSUB "" *`, `LIST "" * RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))`, "STATUS box1 (MESSAGES UIDNEXT UNSEEN)"} {
		b.Run(cmd, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run(b, nc, r, "l "+cmd)
			}
		})
	}
}
