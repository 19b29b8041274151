package imap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthouse/store"
	"posthouse/store/engine/local"
)

// diskClient is benchClient over the embedded engine, on disk, with messages of the size
// and the shape of ordinary mail.
func diskClient(b *testing.B, n int) (*house, net.Conn, *bufio.Reader) {
	b.Helper()
	eng, err := local.Open(b.Context(), local.Options{Dir: b.TempDir(), MinFree: -1, IndexCache: 1 << 30, MemTable: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	h := newHouseOver(b, eng, Options{AllowPlaintextLogin: true})
	acct, err := h.store.Account(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n; at += 50 {
		err := acct.Update(b.Context(), func(tx *store.Tx) error {
			box, err := tx.Mailbox("INBOX")
			for i := at; i < min(n, at+50) && err == nil; i++ {
				var m *store.Staged
				if m, err = h.store.Stage(b.Context()); err != nil {
					return err
				}
				defer m.Close()
				if _, err = io.WriteString(m, ordinary(i)); err == nil {
					err = m.Finish()
				}
				if err == nil {
					_, err = tx.Append(box.ID, m, store.AppendOptions{})
				}
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	nc, r := h.selected(b)
	return h, nc, r
}

// ordinary is a message of about 7 KB.
func ordinary(i int) string {
	date := time.Date(2019, 3, 1, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Hour).Format(time.RFC1123Z)
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <user%03d@example.org>\r\nReceived: from mx.example.org (mx.example.org [192.0.2.%d])\r\n\tby mail.demo.test with ESMTPS id %08x\r\n\tfor <ada@demo.test>; %s\r\n", i%500, i%250, i*7919, date)
	fmt.Fprintf(&b, "From: User Number %d <user%03d@example.org>\r\nTo: Ada Lovelace <ada@demo.test>, team%d@example.net\r\nSubject: Re: budget review contract %d\r\nDate: %s\r\nMessage-ID: <%d@client.example>\r\n", i%500, i%500, i%50, i, date, i)
	fmt.Fprintf(&b, "In-Reply-To: <%d@client.example>\r\nReferences: <%d@client.example> <%d@client.example>\r\nMIME-Version: 1.0\r\nUser-Agent: Bench/1.0\r\n", i-1, i-2, i-1)
	if i%2 == 0 {
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
		b.WriteString(strings.Repeat("A line of an ordinary message, as people write it.\r\n", 125))
		return b.String()
	}
	fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=\"=_%d\"\r\n\r\n", i)
	for _, kind := range []string{"plain", "html"} {
		fmt.Fprintf(&b, "--=_%d\r\nContent-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%s", i, kind, strings.Repeat("A line of an ordinary message, as people write it.\r\n", 62))
	}
	fmt.Fprintf(&b, "--=_%d--\r\n", i)
	return b.String()
}

func BenchmarkFetchDisk(b *testing.B) {
	const messages = 50000
	_, nc, r := diskClient(b, messages)
	for _, items := range []string{"(ENVELOPE)", "(BODYSTRUCTURE)", "(BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])", "(BODY.PEEK[HEADER.FIELDS (X-NONE)])", "(BODY.PEEK[])"} {
		b.Run(items, func(b *testing.B) {
			b.ReportAllocs()
			run(b, nc, r, "f FETCH 1:* "+items)
			start := spent()
			for b.Loop() {
				b.SetBytes(run(b, nc, r, "f FETCH 1:* "+items))
			}
			b.ReportMetric(float64(spent()-start)/float64(b.N)/messages, "cpu-ns/msg")
		})
	}
}

func spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFetchOneDisk is what mbsync does: one message a command, of which it waits
// for none. The client is in the processor time.
func BenchmarkFetchOneDisk(b *testing.B) {
	const messages = 5000
	_, nc, r := diskClient(b, messages)
	for _, depth := range []int{1, 20} {
		b.Run(fmt.Sprint("ahead=", depth), func(b *testing.B) {
			b.ReportAllocs()
			start, i := spent(), 0
			for b.Loop() {
				i++
				if _, err := fmt.Fprintf(nc, "f UID FETCH %d (BODY.PEEK[])\r\n", 1+i%messages); err != nil {
					b.Fatal(err)
				}
				if i >= depth {
					run(b, io.Discard, r, "f ")
				}
			}
			b.ReportMetric(float64(spent()-start)/float64(b.N), "cpu-ns/op")
			for i = min(i, depth-1); i > 0; i-- {
				run(b, io.Discard, r, "f ")
			}
		})
	}
}
