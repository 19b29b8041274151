package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// echoes serves TLS and says its name to each client.
func echoes(name string, cfg *tls.Config) func(net.Listener) error {
	return func(l net.Listener) error {
		for {
			nc, err := l.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer nc.Close()
				_, _ = io.WriteString(tls.Server(nc, cfg), name)
			}()
		}
	}
}

func TestSplit(t *testing.T) {
	cert, err := selfSigned("mx.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	withNames := func(names ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: names}
	}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &keptListener{Listener: raw}
	defer l.release()
	done := make(chan error, 1)
	go func() {
		done <- split(context.Background(), l, []route{{[]string{"imap"}, echoes("imap", withNames("imap"))},
			{[]string{"smtp", "submission"}, echoes("submission", withNames("submission", "smtp"))},
			{nil, echoes("http", withNames("h2", "http/1.1"))}})
	}()
	silent, err := net.Dial("tcp", raw.Addr().String()) // holds nobody up
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct {
		offer    []string
		want, by string
	}{
		{nil, "http", ""}, {[]string{"h2", "http/1.1"}, "http", "h2"}, {[]string{"imap"}, "imap", "imap"},
		{[]string{"submission"}, "submission", "submission"}, {[]string{"smtp"}, "submission", "smtp"}, {[]string{"x", "imap"}, "imap", "imap"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c, err := tls.Dial("tcp", raw.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: tt.offer, MaxVersion: version})
			if err != nil {
				t.Fatal(tt.offer, err)
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			got := make([]byte, len(tt.want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != tt.want || c.ConnectionState().NegotiatedProtocol != tt.by {
				t.Errorf("%q: %q by %q, %v", tt.offer, got, c.ConnectionState().NegotiatedProtocol, err)
			}
			c.Close()
		}
	}
	// A name nobody knows ends in the last one's handshake; what is no TLS is closed.
	if c, err := tls.Dial("tcp", raw.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"nonsense"}}); err == nil {
		c.Close()
		t.Error("a protocol that nobody speaks is spoken")
	}
	for _, nonsense := range []string{"GET / HTTP/1.0\r\n\r\n", strings.Repeat("\x16\x03\x01\x40\x00\x01\x00\xff\xff", 4000)} {
		nc, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(nc, nonsense)
		if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil || isTimeout(err) {
			t.Errorf("%.10q: %d, %v", nonsense, n, err)
		}
		nc.Close()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
