package publish

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthouse/internal/outward"
)

// Bounds of looking at the servers that a domain names: a stranger may name them.
const (
	reachTime    = 10 * time.Second // for each address
	maxReached   = 5                // servers
	maxAddresses = 2                // of each
	maxGreeting  = 64 << 10         // bytes that one may say
)

// checkReach connects to the servers that take the domain's mail, as others do.
func (c *checker) checkReach(ctx context.Context) {
	if c.s.opts.Connect == nil {
		return
	}
	own := c.s.opts.Addresses()
	for _, r := range c.mx[:min(len(c.mx), maxReached)] {
		a, err := c.s.opts.Resolver.LookupAddr(ctx, r.Host)
		if err != nil {
			if r.Host != "." && r.Host != c.host { // that of this server was looked up
				c.failed(err, Error, r.Host, "A or AAAA", seeRecords)
			}
			continue
		}
		for _, ip := range a.Records[:min(len(a.Records), maxAddresses)] {
			ip = ip.Unmap()
			if !outward.IsPublic(netip.AddrPortFrom(ip, 443)) && !(r.Host == c.host && slices.Contains(own, ip)) {
				c.add(Warning, "Give it a public address.", "%s has the address %s, to which nobody on the internet can connect.", r.Host, ip)
				continue
			}
			c.reach(ctx, r.Host, ip)
		}
	}
}

// reach looks at one server.
func (c *checker) reach(ctx context.Context, host string, ip netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	at := net.JoinHostPort(ip.String(), strconv.Itoa(int(c.s.opts.MXPort)))
	nc, err := c.s.opts.Connect(ctx, at)
	if err != nil {
		c.add(Warning, "Open port 25 in the firewall. Some networks let nobody connect out to port 25: then look from elsewhere.", "%s (%s) cannot be reached: %v", host, ip, err)
		return
	}
	defer func() { _ = nc.Close() }() // it was looked at
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	name, cert, err := greet(ctx, nc, c.host, host)
	switch {
	case errors.Is(err, errNoTLS):
		c.add(Error, "Let it offer STARTTLS.", "%s (%s) offers no TLS: what comes to it can be read on the way, and senders with MTA-STS or DANE bring nothing.", host, ip)
	case err != nil:
		c.add(Error, "Look what answers at port 25.", "%s (%s) does not speak SMTP as it should: %v", host, ip, err)
	case cert != nil:
		c.add(Warning, "Get a certificate that names "+host+".", "%s (%s) shows a certificate that others do not believe: %v", host, ip, cert)
	case !strings.EqualFold(name, host):
		c.add(Warning, "Give the server the name that the MX record names.", "%s (%s) calls itself %s.", host, ip, name)
	default:
		c.add(OK, "", "%s (%s) answers, with TLS and a certificate for its name.", host, ip)
	}
}

var errNoTLS = errors.New("no STARTTLS")

// greet says hello and begins TLS. It returns the name in the greeting, and what is wrong
// with the certificate.
func greet(ctx context.Context, nc net.Conn, hello, host string) (name string, cert, err error) {
	r := bufio.NewReader(io.LimitReader(nc, maxGreeting))
	first, err := readReply(r, "220")
	if err != nil {
		return "", nil, err
	}
	name, _, _ = strings.Cut(first[0], " ")
	offered, err := ask(nc, r, "EHLO "+hello, "250")
	if err != nil {
		return name, nil, err
	}
	if !slices.ContainsFunc(offered, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "STARTTLS") }) {
		return name, nil, errNoTLS
	}
	if _, err = ask(nc, r, "STARTTLS", "220"); err != nil {
		return name, nil, err
	}
	// The handshake succeeds with any certificate: what is wrong with it is a finding.
	tc := tls.Client(nc, &tls.Config{ServerName: host, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		cert = verify(s, host)
		return nil
	}})
	if err = tc.HandshakeContext(ctx); err != nil {
		return name, nil, fmt.Errorf("TLS: %w", err)
	}
	_, _ = io.WriteString(tc, "QUIT\r\n") // to be polite
	return name, cert, nil
}

func ask(w io.Writer, r *bufio.Reader, command, code string) ([]string, error) {
	if _, err := io.WriteString(w, command+"\r\n"); err != nil {
		return nil, err
	}
	return readReply(r, code)
}

// verify reports what is wrong with a certificate.
func verify(s tls.ConnectionState, host string) error {
	o := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}

// readReply reads the lines of a reply with a code.
func readReply(r *bufio.Reader, code string) ([]string, error) {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines, err
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 || line[:3] != code || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return lines, fmt.Errorf("it says %.100q", line)
		}
		if len(line) == 3 {
			return append(lines, ""), nil
		}
		if lines = append(lines, line[4:]); line[3] == ' ' {
			return lines, nil
		}
	}
}
