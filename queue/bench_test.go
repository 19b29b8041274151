package queue_test

import (
	"log/slog"
	"strings"
	"testing"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/queue"
	"posthouse/smtpclient"
	"posthouse/smtpclient/smtptest"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// BenchmarkQueue takes messages of 8 KB in and sends them over loopback: one
// operation is a message from Add to its removal.
func BenchmarkQueue(b *testing.B) {
	for _, hosts := range []int{1, 20} {
		b.Run(map[int]string{1: "one", 20: "twenty"}[hosts], func(b *testing.B) {
			srv := smtptest.New(b, smtptest.Options{Extensions: extensions})
			var zone strings.Builder
			for i := range hosts {
				zone.WriteString("d" + string(rune('a'+i)) + ".test. A 127.0.0.1\n")
			}
			d := dnstest.New(b, zone.String())
			q, err := queue.Open(b.Context(), queue.Options{Engine: mem.New(), Hostname: "here.test", MXPort: srv.Addr.Port(),
				Resolver: d.Client(b, dns.Options{}), Logger: slog.New(slog.DiscardHandler),
				Dialer: smtpclient.Dialer{Hello: "here.test", AddrPolicy: smtpclient.AnyAddr}})
			if err != nil {
				b.Fatal(err)
			}
			q.Start(nil)
			defer q.Close(b.Context())
			content := []byte(text + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 8192/78))
			b.SetBytes(int64(len(content)))
			n := 0
			for b.Loop() {
				env := envelope("x@d" + string(rune('a'+n%hosts)) + ".test")
				if err := q.Add(b.Context(), env, queue.Message{Blob: &engine.Blob{Bytes: content}, Size: int64(len(content))}); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if err := q.Idle(b.Context()); err != nil {
				b.Fatal(err)
			}
			if got := q.Stats().Delivered; got != uint64(n) {
				b.Fatalf("%d of %d", got, n)
			}
		})
	}
}
