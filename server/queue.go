package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"posthouse/config"
	"posthouse/dns"
	"posthouse/mail"
	"posthouse/queue"
	"posthouse/sasl"
	"posthouse/smtp/wire"
	"posthouse/smtpclient"
	"posthouse/store/engine"
)

// readSecrets reads what only root may be able to read, before privileges are
// dropped.
func (s *Server) readSecrets(context.Context) error {
	path := s.cfg.Queue.SmarthostPasswordFile
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("queue.smarthost_password_file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if s.relayPassword = strings.TrimRight(line, "\r"); s.relayPassword == "" {
		return fmt.Errorf("queue.smarthost_password_file: the first line of %s is empty", path)
	}
	return nil
}

// openQueue opens the queue; nothing is sent before startQueue.
func (s *Server) openQueue(ctx context.Context) error {
	var resolver dns.Resolver = nowhere{}
	if !s.opts.demo {
		client, err := newResolver(s.cfg.DNS)
		if err != nil {
			return err
		}
		s.onStop("resolver", func(context.Context) error { return client.Close() })
		resolver = client
	}
	s.resolver = resolver
	o, err := queueOptions(s.cfg, s.eng, s.hostname, s.relayPassword)
	if err != nil {
		return err
	}
	o.Resolver, o.Logger, o.SelfAddrs = resolver, s.log, s.selfAddrs()
	if s.opts.demo {
		o.Router, o.Dialer.DialContext = everywhere{}, dialSink
	}
	if s.queue, err = queue.Open(ctx, o); err != nil {
		return err
	}
	s.onStop("queue", s.queue.Close)
	return nil
}

// startQueue lets the queue send, with delivery as the taker of its reports.
func (s *Server) startQueue(context.Context) error {
	s.queue.Start(s.deliv)
	return nil
}

func newResolver(c config.DNS) (*dns.Client, error) {
	var o dns.Options
	for _, text := range c.Servers {
		addr, err := config.ParseServer(text)
		if err != nil {
			return nil, err
		}
		o.Servers = append(o.Servers, dns.Server{Addr: addr, TrustAD: addr.Addr().IsLoopback()})
	}
	return dns.New(o), nil
}

// queueOptions is what the configuration says about the queue.
func queueOptions(c config.Config, eng engine.Engine, hostname, password string) (queue.Options, error) {
	l := c.Limits
	o := queue.Options{
		Engine: eng, Hostname: hostname, Dialer: smtpclient.Dialer{Hello: hostname},
		Lifetime: c.Queue.Expire.Duration(), DelayDSN: c.Queue.DelayNotice.Duration(),
		Limits: queue.Limits{
			Entries: l.QueueMessages.Int(), Bytes: l.QueueBytes.Int64(), Active: l.OutboundActive.Int(),
			PerDestination: l.OutboundPerDomain.Int(), PerConnection: l.OutboundPerConnection.Int(),
		},
	}
	for _, d := range c.Queue.Retry {
		o.Retry = append(o.Retry, d.Duration())
	}
	routes := queue.Routes{Domains: map[mail.Domain]queue.Hop{}}
	for name, to := range c.Queue.Routes {
		dom, err := wire.ParseDomain(name)
		if err != nil {
			return o, fmt.Errorf("queue.routes: %q is not a domain name", name)
		}
		if routes.Domains[dom], err = hopTo(to); err != nil {
			return o, fmt.Errorf("queue.routes: %s: %w", name, err)
		}
	}
	if c.Queue.Smarthost != "" {
		hop, err := hopTo(c.Queue.Smarthost)
		if err != nil {
			return o, fmt.Errorf("queue.smarthost: %w", err)
		}
		hop.TLS = relayTLS(c.Queue.SmarthostTLS, hop.Host)
		if c.Queue.SmarthostLogin != "" {
			hop.Auth = &sasl.Credentials{Login: c.Queue.SmarthostLogin, Password: password}
		}
		routes.Smarthost = &hop
	}
	o.Router = routes
	return o, nil
}

func hopTo(hostPort string) (queue.Hop, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return queue.Hop{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return queue.Hop{Host: host, Port: uint16(n)}, err
}

// relayTLS is the policy of smarthost_tls.
func relayTLS(name, host string) smtpclient.TLSPolicy {
	switch name {
	case "verified":
		return smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired, Verify: verifyName(host)}
	case "implicit":
		return smtpclient.TLSPolicy{Mode: smtpclient.TLSImplicit, Verify: verifyName(host)}
	case "none":
		return smtpclient.TLSPolicy{Mode: smtpclient.TLSNever}
	}
	return smtpclient.TLSPolicy{}
}

// verifyName checks a certificate for a host's name against the system's roots.
func verifyName(host string) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("the server showed no certificate")
		}
		o := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(o)
		return err
	}
}

// selfAddrs are the addresses under which other servers reach this one: of the
// network interfaces where the MX listens on all, else those that it listens on.
func (s *Server) selfAddrs() []netip.Addr {
	var list []netip.Addr
	for _, b := range s.bound {
		ap, err := netip.ParseAddrPort(b.Addr().String())
		if b.Face != "mx" || err != nil || ap.Port() != 25 {
			continue
		}
		if !ap.Addr().IsUnspecified() {
			list = append(list, ap.Addr().Unmap())
			continue
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, p.Addr().Unmap())
			}
		}
	}
	return list
}
