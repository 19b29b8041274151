package delivery

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"posthouse/dns"
	"posthouse/mailauth/dnsbl"
	"posthouse/mailauth/iprev"
	"posthouse/smtp/wire"
)

// A peer is what is found out about who is at the other end, once for a session.
type peer struct {
	hello  string
	done   chan struct{} // closed when the rest is there
	iprev  iprev.Result
	listed dnsbl.Result
	helo   helloResult
}

// Meet begins to look up who the peer of a session is, so that the answers are there
// when they are asked for. It returns at once and may be called for each hello.
func (s *Service) Meet(ctx context.Context, sess *Session) { s.now().meet(ctx, sess) }

func (s *Service) meet(ctx context.Context, sess *Session) {
	c := s.opts.Checks
	if c == nil || sess.Origin != FromMX || sess.peer != nil && sess.peer.hello == sess.Hello {
		return
	}
	p, old := &peer{hello: sess.Hello, done: make(chan struct{})}, sess.peer
	sess.peer = p
	if !isStranger(sess.Remote) {
		close(p.done)
		return
	}
	remote, hello := sess.Remote, sess.Hello
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
	go func() {
		defer cancel()
		defer close(p.done)
		var group sync.WaitGroup
		group.Go(func() { p.helo = lookUpHello(ctx, c.Resolver, hello, remote, s.server) })
		if old != nil { // the address is the same
			<-old.done
			p.iprev, p.listed = old.iprev, old.listed
		} else {
			group.Go(func() { p.listed = dnsbl.Check(ctx, c.Resolver, c.Lists, remote) })
			p.iprev = iprev.Check(ctx, c.Resolver, remote)
		}
		group.Wait()
	}()
}

// isStranger reports an address of the Internet: others have no name that anybody
// vouches for, and whoever stands in front of us has looked at them.
func isStranger(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsValid() && ip.IsGlobalUnicast() && !ip.IsPrivate()
}

// A helloResult says what the name is worth that a client gives itself.
type helloResult struct {
	word   string // "" is not known
	weight int
}

// What a name may turn out to be. RFC 5321 §4.1.4 forbids to refuse mail because a
// name cannot be confirmed, so by itself none decides anything.
var (
	helloOurs        = helloResult{"our name", 6}
	helloBare        = helloResult{"an address without brackets", 4}
	helloOther       = helloResult{"another address", 3}
	helloUnqualified = helloResult{"no full name", 2}
	helloUnknown     = helloResult{"unknown", 1}
	helloExists      = helloResult{"exists", 0}
	helloLeads       = helloResult{"pass", 0}
	helloUnsure      = helloResult{"temperror", 0}
)

func lookUpHello(ctx context.Context, r dns.Resolver, hello string, remote netip.Addr, ours string) helloResult {
	remote = remote.Unmap().WithZone("")
	name := strings.ToLower(strings.TrimSuffix(hello, "."))
	switch _, err := netip.ParseAddr(name); {
	case name == ours:
		return helloOurs
	case err == nil:
		return helloBare
	case strings.HasPrefix(name, "["):
		if strings.EqualFold(string(wire.Literal(remote)), name) {
			return helloLeads
		}
		return helloOther
	case !strings.Contains(name, "."):
		return helloUnqualified
	}
	a, err := r.LookupAddr(ctx, name)
	switch {
	case err != nil && dns.IsAbsent(err):
		return helloUnknown
	case err != nil:
		return helloUnsure
	}
	for _, ip := range a.Records {
		if ip == remote {
			return helloLeads
		}
	}
	return helloExists
}
