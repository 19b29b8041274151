package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"posthouse/config"
	"posthouse/dns"
	"posthouse/mail"
	"posthouse/queue"
	"posthouse/sasl"
	"posthouse/smtp/wire"
	"posthouse/smtpclient"
	"posthouse/store/engine"
	"posthouse/tlspolicy"
	"posthouse/tlspolicy/mtasts"
)

// readSecrets reads what only root may be able to read, before privileges are
// dropped.
func (s *Server) readSecrets(context.Context) (err error) {
	if s.passwords, err = s.relayPasswords(s.cfg); err != nil {
		return err
	}
	s.oauthSecret, err = readSecret("oauth.client_secret_file", s.cfg.OAuth.SecretFile)
	return err
}

// readSecret reads the first line of the file that a key names; "" if it names none.
func readSecret(key, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("%s: the first line of %s is empty", key, path)
	}
	return line, nil
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
	o, err := queueOptions(s.cfg, s.eng, s.hostname, s.passwords)
	if err != nil {
		return err
	}
	o.Resolver, o.Logger, o.SelfAddrs, o.Trace = resolver, s.log, s.selfAddrs(), s.trace
	o.Local = func(ctx context.Context, d mail.Domain) bool {
		r, err := s.dir.Resolve(ctx, mail.Address{Local: "postmaster", Domain: d})
		return err == nil && r.Local
	}
	if s.opts.demo {
		o.Router, o.Dialer.DialContext = everywhere{}, dialSink
	} else if o.TLS, err = s.tlsPlanner(o.Dialer.AddrPolicy); err != nil {
		return err
	}
	o.Told = s.told
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

// tlsPlanner is what knows how to talk TLS to other domains' servers.
func (s *Server) tlsPlanner(addrs smtpclient.AddrPolicy) (*tlspolicy.Planner, error) {
	if s.cfg.Queue.TLSPolicies == "ignore" {
		return nil, nil
	}
	if addrs == nil {
		addrs = smtpclient.PublicOnly
	}
	f := &mtasts.Fetcher{Resolver: s.resolver, AddrPolicy: addrs}
	sts, err := tlspolicy.OpenSTS(tlspolicy.STSOptions{Engine: s.eng, Resolver: s.resolver, Fetch: f.Fetch, Record: s.tally, Logger: s.log})
	if err != nil {
		return nil, err
	}
	s.onStop("mta-sts", func(context.Context) error { return sts.Close() })
	return tlspolicy.New(tlspolicy.Options{Resolver: s.resolver, STS: sts, Record: s.tally}), nil
}

func newResolver(c config.DNS) (*dns.Client, error) {
	o, err := resolverOptions(c)
	return dns.New(o), err
}

func resolverOptions(c config.DNS) (dns.Options, error) {
	var o dns.Options
	for _, text := range c.Servers {
		addr, err := config.ParseServer(text)
		if err != nil {
			return o, err
		}
		o.Servers = append(o.Servers, dns.Server{Addr: addr, TrustAD: c.TrustAD || addr.Addr().IsLoopback()})
	}
	return o, nil
}

// queueOptions is what the configuration says about the queue.
// passwords are those of relays, by file.
func queueOptions(c config.Config, eng engine.Engine, hostname string, passwords map[string]string) (queue.Options, error) {
	l := c.Limits
	o := queue.Options{
		Engine: eng, Hostname: hostname, Dialer: smtpclient.Dialer{Hello: hostname},
		Suppress: c.Queue.Suppress.Duration(), Lifetime: c.Queue.Expire.Duration(), DelayDSN: c.Queue.DelayNotice.Duration(),
		Limits: queue.Limits{
			Entries: l.QueueMessages.Int(), Bytes: l.QueueBytes.Int64(), Suppressed: l.Suppressed.Int(), Active: l.OutboundActive.Int(),
			PerDestination: l.OutboundPerDomain.Int(), PerConnection: l.OutboundPerConnection.Int(),
		},
	}
	for _, d := range c.Queue.Retry {
		o.Retry = append(o.Retry, d.Duration())
	}
	if c.Queue.PrivateAddresses {
		o.Dialer.AddrPolicy = smtpclient.AnyAddr
	}
	for _, text := range c.Queue.SourceAddresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return o, fmt.Errorf("queue.source_addresses: %w", err)
		}
		o.Dialer.LocalAddrs = append(o.Dialer.LocalAddrs, a)
	}
	o.Providers = map[string]queue.Provider{}
	for name, text := range c.Queue.Providers {
		p, err := config.ParseProvider(text)
		if err != nil {
			return o, fmt.Errorf("queue.providers: %s: %w", name, err)
		}
		o.Providers[strings.ToLower(name)] = queue.Provider(p)
	}
	routes := queue.Routes{Domains: map[mail.Domain]queue.Hop{}, Below: map[mail.Domain]queue.Hop{}}
	for name, to := range c.Queue.Routes {
		table := routes.Domains
		parent, below := strings.CutPrefix(name, "*.")
		if below {
			table = routes.Below
		}
		dom, err := wire.ParseDomain(parent)
		if err != nil {
			return o, fmt.Errorf("queue.routes: %q is not a domain name", name)
		}
		if table[dom], err = hopTo(to, passwords); err != nil {
			return o, fmt.Errorf("queue.routes: %s: %w", name, err)
		}
	}
	if c.Queue.Smarthost != "" {
		hop, err := hopTo(c.Queue.Smarthost, nil)
		if err != nil {
			return o, fmt.Errorf("queue.smarthost: %w", err)
		}
		hop.TLS = relayTLS(c.Queue.SmarthostTLS, hop.Host)
		if c.Queue.SmarthostLogin != "" {
			hop.Auth = &sasl.Credentials{Login: c.Queue.SmarthostLogin, Password: passwords[c.Queue.SmarthostPasswordFile]}
		}
		routes.Smarthost = &hop
	}
	o.Router = routes
	return o, nil
}

// hopTo reads a route of the configuration.
func hopTo(text string, passwords map[string]string) (queue.Hop, error) {
	r, err := config.ParseRoute(text)
	if err != nil {
		return queue.Hop{}, err
	}
	h := queue.Hop{Host: r.Host, Port: r.Port, Unix: r.Socket}
	switch r.Scheme {
	case "smtp":
		h.TLS = relayTLS("verified", r.Host)
	case "smtps":
		h.TLS = relayTLS("implicit", r.Host)
	case "lmtp":
		h.Mode = smtpclient.LMTP
	}
	if r.Login != "" {
		h.Auth = &sasl.Credentials{Login: r.Login, Password: passwords[r.PasswordFile]}
	}
	return h, nil
}

// relayTLS is the policy of smarthost_tls.
func relayTLS(name, host string) smtpclient.TLSPolicy {
	switch name {
	case "verified":
		return smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired, Verify: tlspolicy.VerifyName(host, nil)}
	case "implicit":
		return smtpclient.TLSPolicy{Mode: smtpclient.TLSImplicit, Verify: tlspolicy.VerifyName(host, nil)}
	case "none":
		return smtpclient.TLSPolicy{Mode: smtpclient.TLSNever}
	}
	return smtpclient.TLSPolicy{}
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
		list = append(list, interfaceAddrs()...)
	}
	return list
}

// interfaceAddrs are the addresses of this machine.
func interfaceAddrs() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}
