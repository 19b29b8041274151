package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"

	"posthouse/dns"
)

// A Fetcher gets policies over HTTPS. Resolver and Policy are required; it is not
// changed after its first use.
type Fetcher struct {
	Resolver dns.Resolver
	// AddrPolicy says which addresses may be connected to: a name in a stranger's zone
	// must not lead us into our own network.
	AddrPolicy func(netip.AddrPort) error
	Roots      *x509.CertPool // nil: those of the system
	Port       uint16         // 443
	Timeout    time.Duration  // of a whole fetch; 30 s (RFC 8461 §3.3 suggests a minute)
}

// Host is where the policy of a domain is served, and Path what is asked for.
func Host(domain string) string { return "mta-sts." + domain }

// Path of the policy, RFC 8461 §3.2.
const Path = "/.well-known/mta-sts.txt"

// ErrFetch is a policy that could not be had: no address, no connection, another
// answer than 200.
var ErrFetch = errors.New("the MTA-STS policy cannot be fetched")

// Fetch gets the policy of a domain (A-labels), RFC 8461 §3.3: redirects are not
// followed, and the certificate must be one for the policy host. Errors wrap ErrFetch
// or ErrInvalid, those of certificates also the error of crypto/x509.
func (f *Fetcher) Fetch(ctx context.Context, domain string) (Policy, error) {
	timeout := f.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tr := &http.Transport{DialContext: f.dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: f.Roots, MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true}
	defer tr.CloseIdleConnections()
	client := http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+Host(domain)+Path, nil)
	if err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	req.Header.Set("User-Agent", "Posthouse")
	resp, err := client.Do(req)
	if err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Policy{}, fmt.Errorf("%w: %s", ErrFetch, resp.Status)
	}
	if typ, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || typ != "text/plain" {
		return Policy{}, invalid("it is %q, not text/plain", resp.Header.Get("Content-Type"))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxBytes+1))
	if err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	return Parse(string(b))
}

// dial looks the name up with our resolver and connects to what the policy allows.
func (f *Fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	a, err := f.Resolver.LookupAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	port := f.Port
	if port == 0 {
		port = 443
	}
	err = errors.New("no address")
	for _, ip := range a.Records[:min(len(a.Records), 4)] {
		to := netip.AddrPortFrom(ip, port)
		if err = f.AddrPolicy(to); err != nil {
			continue
		}
		d := net.Dialer{Timeout: 10 * time.Second}
		var c net.Conn
		if c, err = d.DialContext(ctx, network, to.String()); err == nil {
			return c, nil
		}
	}
	return nil, err
}
