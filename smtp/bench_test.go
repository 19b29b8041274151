package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"posthouse/delivery"
	"posthouse/directory"
	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
)

// benchAccounts receive in turn, so that no one account's order is the limit.
const benchAccounts = 50

// BenchmarkDeliver takes 8 KB messages by 1, 10 and 50 connections over the local
// engine. cpu-µs/op is that of the whole process, the clients' part included, which
// "null" measures: the same dialogue against a peer that stores nothing.
func BenchmarkDeliver(b *testing.B) {
	for _, f := range []Face{LMTP, MX} {
		for _, n := range []int{1, 10, 50} {
			b.Run(fmt.Sprintf("%v/%d", f, n), func(b *testing.B) { benchDeliver(b, f, n) })
		}
	}
	b.Run("checked/50", func(b *testing.B) {
		checks, message := signedFarTest(b)
		benchServer(b, MX, 50, checks, message)
	})
	b.Run("null/10", func(b *testing.B) {
		l := listenUnix(b)
		go serveNull(l)
		benchClients(b, l.Addr(), 10, benchMessage())
	})
}

// signedFarTest is the message with a signature (RSA-2048), and a resolver that knows
// key, SPF and DMARC of its domain.
func signedFarTest(b *testing.B) (*delivery.Checks, string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(b, err)
	record, err := dkim.SigningKey{Domain: "far.test", Selector: "r", Key: key}.Record()
	must(b, err)
	zone := "far.test. MX 10 far.test.\nfar.test. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.far.test. TXT \"v=DMARC1; p=reject\"\n" +
		"r._domainkey.far.test. TXT \"" + record[:200] + "\" \"" + record[200:] + "\"\n"
	var signed bytes.Buffer
	plain := strings.TrimSuffix(benchMessage(), ".\r\n")
	must(b, msgauth.Sign(&signed, strings.NewReader(plain), &msgauth.SignOptions{Domain: "far.test", Selector: "r", Signer: key,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed}))
	return &delivery.Checks{Resolver: dnstest.New(b, zone).Client(b, dns.Options{})}, signed.String() + ".\r\n"
}

func listenUnix(b *testing.B) net.Listener {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	must(b, err)
	b.Cleanup(func() { l.Close() })
	return l
}

func benchDeliver(b *testing.B, f Face, conns int) { benchServer(b, f, conns, nil, benchMessage()) }

func benchServer(b *testing.B, f Face, conns int, checks *delivery.Checks, message string) {
	eng, err := local.Open(b.Context(), local.Options{Dir: b.TempDir()})
	must(b, err)
	h := newCheckingHouse(b, eng, checks, func(o *Options) {
		o.Limits = Limits{Messages: -1, MXSession: -1, MXSessionBytes: -1, ConnectionRate: -1, ConnectionsPerAddress: -1}
	})
	for i := range benchAccounts {
		n := directory.NewAccount{Address: addr(fmt.Sprintf("user%d@demo.test", i))}
		_, err := h.dir.AddAccount(b.Context(), n, func(ctx context.Context, id mail.AccountID, eb *engine.Batch) error {
			return h.st.Update(ctx, []mail.AccountID{id}, []*engine.Batch{eb}, func(txs []*store.Tx) error { return txs[0].CreateAccount(nil) })
		})
		must(b, err)
	}
	l := listenUnix(b)
	go func() { _ = h.srv.Serve(context.Background(), l, f) }()
	before := eng.Stats()
	benchClients(b, l.Addr(), conns, message)
	after := eng.Stats()
	b.ReportMetric(float64(after.Syncs-before.Syncs)/float64(b.N), "syncs/op")
	b.ReportMetric(float64(after.WrittenBytes-before.WrittenBytes)/float64(b.N), "written/op")
}

func benchMessage() string {
	var m strings.Builder
	m.WriteString("From: Eve <eve@far.test>\r\nTo: Ada <ada@demo.test>\r\nSubject: a message of usual size\r\n" +
		"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	for i := 0; m.Len() < 8000; i++ {
		fmt.Fprintf(&m, "line %d of a text that says nothing but has the length of one that does\r\n", i)
	}
	return m.String() + ".\r\n"
}

// benchClients sends b.N messages by conns connections, two round trips each.
func benchClients(b *testing.B, to net.Addr, conns int, text string) {
	var left atomic.Int64
	left.Store(int64(b.N))
	message := []byte(text)
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	for range conns {
		group.Go(func() {
			nc, err := net.Dial(to.Network(), to.String())
			if err != nil {
				b.Error(err)
				return
			}
			defer nc.Close()
			c := benchClient{nc, bufio.NewReader(nc)}
			var own []byte
			c.say("LHLO x\r\nHELO x\r\n", 3) // and the greeting
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				c.say(fmt.Sprintf("MAIL FROM:<eve@far.test>\r\nRCPT TO:<user%d@demo.test>\r\nDATA\r\n", n%benchAccounts), 3)
				own = append(fmt.Appendf(own[:0], "Message-ID: <%d@far.test>\r\n", n), message...)
				if _, err := nc.Write(own); err != nil {
					b.Error(err)
					return
				}
				if last := c.replies(1); last != '2' {
					b.Errorf("reply %q", last)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

type benchClient struct {
	io.Writer
	r *bufio.Reader
}

func (c benchClient) say(text string, replies int) {
	_, _ = io.WriteString(c, text) // seen by the missing reply
	c.replies(replies)
}

// replies reads n replies and returns the first octet of the last.
func (c benchClient) replies(n int) (first byte) {
	for n > 0 {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0
		}
		if first = line[0]; line[3] == ' ' {
			n--
		}
	}
	return first
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serveNull answers as a server would, with no more work than to find the ends.
func serveNull(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			r := bufio.NewReaderSize(nc, readBuffer)
			_, _ = io.WriteString(nc, "220 x\r\n")
			line := func() string { s, _ := r.ReadSlice('\n'); return string(s) }
			line()
			line()
			_, _ = io.WriteString(nc, "250 x\r\n250 x\r\n")
			for line() != "" {
				line()
				line()
				_, _ = io.WriteString(nc, "250 x\r\n250 x\r\n354 x\r\n")
				for s := line(); s != ".\r\n" && s != ""; s = line() {
				}
				_, _ = io.WriteString(nc, "250 x\r\n")
			}
		}()
	}
}
