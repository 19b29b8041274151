package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strconv"
	"time"

	"posthouse/config"
	"posthouse/directory"
	"posthouse/dns"
	"posthouse/publish"
	"posthouse/queue"
	"posthouse/smtpclient"
	"posthouse/tlspolicy/mtasts"
)

// freshResolver is a resolver that keeps nothing, for who has just changed DNS and wants
// to see it.
func freshResolver(c config.DNS) (*dns.Client, error) {
	o, err := resolverOptions(c)
	o.Attempts = 1
	o.MaxTTL, o.MaxNegative, o.FailTTL = time.Nanosecond, time.Nanosecond, time.Nanosecond
	return dns.New(o), err
}

// keepKeys is how much longer than the queue keeps mail the records of old keys stay:
// receivers may check later.
const keepKeys = 3 * 24 * time.Hour

func publishOptions(c config.Config, dir *directory.Directory, q *queue.Queue, r publish.Resolver) publish.Options {
	o := publish.Options{
		Directory: dir, Hostname: hostname(c), Resolver: r, Oldest: q.Oldest,
		Rules: directory.KeyRules{Rotate: max(0, c.DKIM.Rotate.Duration()), Settle: c.DKIM.Settle.Duration(), Keep: max(0, c.Queue.Expire.Duration()) + keepKeys},
		// Who asks for the check is the administrator, and the name his own domain's: it may
		// lead anywhere.
		Fetch:     (&mtasts.Fetcher{Resolver: r, AddrPolicy: smtpclient.AnyAddr, Timeout: 10 * time.Second}).Fetch,
		Addresses: func() []netip.Addr { return sourceAddrs(c) },
		Certificate: func() *x509.Certificate {
			if c.TLS.Cert == "" {
				return nil
			}
			pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
			if err != nil {
				return nil
			}
			return pair.Leaf
		},
	}
	for _, f := range c.Listen.Faces() {
		for _, addr := range f.Addrs {
			if _, port, err := net.SplitHostPort(addr); err == nil {
				o.Faces = appendFace(o.Faces, f.Name, port)
			}
		}
	}
	return o
}

func appendFace(list []publish.Face, name, port string) []publish.Face {
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
		list = append(list, publish.Face{Name: name, Port: uint16(n)})
	}
	return list
}

// sourceAddrs are the addresses that mail leaves from: those that are configured, or
// else all of this machine's.
func sourceAddrs(c config.Config) []netip.Addr {
	var list []netip.Addr
	for _, text := range c.Queue.SourceAddresses {
		if a, err := netip.ParseAddr(text); err == nil {
			list = append(list, a)
		}
	}
	if len(list) > 0 {
		return list
	}
	return interfaceAddrs()
}

// connectMX connects to a server that publish looks at.
func connectMX(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// startPublishing opens what looks after the domains' DNS, and lets it look after their
// keys. The demo has no DNS.
func (s *Server) startPublishing(ctx context.Context) error {
	var r publish.Resolver = nowhere{}
	if !s.opts.demo {
		client, err := freshResolver(s.cfg.DNS)
		if err != nil {
			return err
		}
		s.onStop("resolver of changes", func(context.Context) error { return client.Close() })
		r = client
	}
	o := publishOptions(s.cfg, s.dir, s.queue, r)
	if !s.opts.demo {
		o.Connect = connectMX
	}
	o.Tell, o.Logger, o.Faces = s.deliv.TellAdministrator, s.log, nil
	for _, b := range s.bound {
		if _, port, err := net.SplitHostPort(b.Addr().String()); err == nil {
			o.Faces = appendFace(o.Faces, b.Face, port)
		}
	}
	o.Certificate = func() *x509.Certificate {
		if c := s.tls.Load(); !c.made {
			return c.Leaf
		}
		return nil
	}
	if s.opts.demo {
		o.Fetch = nil
	}
	s.pub = publish.New(o)
	return nil
}

// startKeys lets the keys of the domains go through their lives. The demo has no DNS.
func (s *Server) startKeys(ctx context.Context) error {
	if s.opts.demo {
		return nil
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.onStop("signing keys", func(context.Context) error {
		stop()
		<-done
		return nil
	})
	s.tasks.Go(func() {
		defer close(done)
		s.pub.Run(running)
	})
	return nil
}
