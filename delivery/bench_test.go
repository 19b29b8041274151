package delivery

import (
	"crypto/rand"
	"crypto/rsa"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/message"
)

// BenchmarkChecks is the cost of finding out who sent a message of 8 KB, signed with
// RSA-2048, when DNS is cached. cpu-µs/op is that of the whole process.
func BenchmarkChecks(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	k := dkim.SigningKey{Domain: "far.test", Selector: "r", Key: key}
	rec, err := k.Record()
	if err != nil {
		b.Fatal(err)
	}
	srv := dnstest.New(b, senderZone+k.Name()+". TXT \""+rec[:200]+"\" \""+rec[200:]+"\"\n")
	body := strings.Repeat("The quick brown fox jumps over the lazy dog, and then sleeps.\r\n", 125)
	text := "From: Eve <eve@far.test>\r\nTo: ada@demo.test\r\nSubject: a message of usual size\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\n" + body
	m := dkim.NewMessage(dkim.Limits{}, true)
	_, _ = m.Write([]byte(text))
	m.Finish()
	sig, err := m.AppendSignature(nil, nil, k, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct{ name, message string }{{"unsigned", text}, {"signed", string(sig) + text}} {
		b.Run(bench.name, func(b *testing.B) {
			s := New(Options{Hostname: "mx.demo.test", Checks: &Checks{Resolver: srv.Client(b, dns.Options{}), Timeout: time.Second}})
			sess := &Session{Origin: FromMX, Hello: "mx.far.test", Remote: netip.MustParseAddr("192.0.2.1")}
			h := parsed(bench.message)
			text := []byte(bench.message)
			before := cpuTime()
			b.ReportAllocs()
			for b.Loop() {
				t := s.Begin(sess, mail.Envelope{ReversePath: addr("eve@far.test")})
				t.beginFindings(b.Context())
				_, _ = t.found.body.Write(text)
				for _, st := range []stage{checkIPRev, checkSPF, checkDKIM, checkARC, checkDMARC} {
					if v := st.message(b.Context(), t, h); v.Action != Accept {
						b.Fatalf("%+v", v)
					}
				}
				t.found.end()
			}
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func parsed(text string) *message.Header {
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	h := message.ParseHeader([]byte(head+"\r\n\r\n"), message.Limits{})
	return &h
}
