package publish

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// serveMX answers each connection with a greeting, and STARTTLS if offered.
func serveMX(t *testing.T, greeting string, offered bool) *net.TCPAddr {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"other.test"}, NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			r := bufio.NewReader(nc)
			_, _ = io.WriteString(nc, greeting)
			_, _ = r.ReadString('\n')
			extra := ""
			if offered {
				extra = "250-STARTTLS\r\n"
			}
			_, _ = io.WriteString(nc, "250-hello\r\n"+extra+"250 SIZE\r\n")
			if line, _ := r.ReadString('\n'); strings.HasPrefix(line, "STARTTLS") {
				_, _ = io.WriteString(nc, "220 go\r\n")
				tc := tls.Server(nc, config)
				_ = tc.HandshakeContext(context.Background())
				_, _ = bufio.NewReader(tc).ReadString('\n')
			}
			nc.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr)
}

// The servers of a domain are looked at as others see them, at public addresses and the
// server's own.
func TestReach(t *testing.T) {
	for _, tt := range []struct {
		greeting string
		offered  bool
		own      string
		want     string
	}{
		{"220 mx.example.org ESMTP\r\n", true, "127.0.0.1", "a certificate that others do not believe"},
		{"220 mx.example.org ESMTP\r\n", false, "127.0.0.1", "offers no TLS"},
		{"554 go away\r\n", true, "127.0.0.1", "it says \"554 go away\""},
		{"220 mx.example.org\r\n", true, "192.0.2.9", "nobody on the internet can connect"},
	} {
		addr := serveMX(t, tt.greeting, tt.offered)
		r := newRig(t, func(o *Options) {
			o.Connect = func(ctx context.Context, address string) (net.Conn, error) {
				if !strings.HasPrefix(address, "127.0.0.1:") {
					return nil, errors.New("not there")
				}
				return (&net.Dialer{}).DialContext(ctx, "tcp", address)
			}
			o.MXPort = uint16(addr.Port)
			o.Addresses = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(tt.own)} }
		})
		c := &checker{s: r.Service, host: "mx.example.org", now: "reach"}
		r.dns.SetZone(t, "example.org. MX 10 mx.example.org.\nmx.example.org. A 127.0.0.1\n")
		c.name = "example.org"
		c.checkMX(t.Context())
		c.found = nil
		c.checkReach(t.Context())
		if len(c.found) != 1 || !strings.Contains(c.found[0].Text, tt.want) || c.found[0].Level == OK {
			t.Errorf("%s: %+v", tt.want, c.found)
		}
	}
}
