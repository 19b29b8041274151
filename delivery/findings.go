package delivery

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/mailauth/arc"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/dnsbl"
	"posthouse/mailauth/spf"
	"posthouse/message"
)

// A CheckMode says what the checks may do.
type CheckMode uint8

// The modes.
const (
	Enforce  CheckMode = iota // refuse or file as junk what the author's domain or the lists disown
	MarkOnly                  // only say so in Authentication-Results
)

// Checks configures how the senders of mail from other servers are checked.
type Checks struct {
	Resolver dns.Resolver
	Mode     CheckMode
	// Sealers are domains that are believed when they say in an ARC chain that a
	// message was right before it was changed: forwarders and lists. A name covers
	// those below it.
	Sealers []string
	// Lists are asked about the client's address; see checkDNSBL for what they weigh.
	Lists []dnsbl.Zone
	// Pause is how long a client waits that shows signs of a spammer; longer if it shows
	// many. 0: not at all.
	Pause time.Duration
	// Timeout of all lookups for one message after its end, and of those before it;
	// default 5 s. What DNS has not said by then is a temporary error.
	Timeout time.Duration
}

// A findings gathers who sent a message. SPF and the client's name are looked up
// while the message comes in, the rest at its end, all at once. What DNS has said
// before is evaluated on the spot.
type findings struct {
	body   *dkim.Message
	cancel context.CancelFunc // of early; nil: all was known
	early  sync.WaitGroup     // looks up spf
	peer   *peer              // iprev and listed, once for a session
	sender mail.Finding

	gathered bool
	spf      spf.Result
	dkim     []dkim.Result
	arc      arc.Result
	authors  []dmarc.Policy // of the domains in From
	oneFrom  bool           // there is one From field, and some domain in it
}

// maxAuthors is the number of domains in From that are asked.
const maxAuthors = 5

// beginFindings starts what needs no message, and waits for what is known of the peer
// and the sender's domain. It is false if this mail is not checked.
func (t *Transaction) beginFindings(ctx context.Context) bool {
	c := t.s.opts.Checks
	if c == nil || t.sess.Origin != FromMX {
		return false
	}
	t.s.meet(ctx, t.sess)
	f := &findings{body: dkim.NewMessage(dkim.Limits{}, t.forwards()), peer: t.sess.peer}
	t.found = f
	in := spf.Input{IP: t.sess.Remote, Hello: t.sess.Hello, Sender: t.Env.ReversePath, Host: t.s.opts.Hostname, Now: t.s.opts.Now()}
	if !c.offline(ctx, func(ctx context.Context) {
		f.spf = spf.Check(ctx, c.Resolver, in)
		f.sender = lookUpSender(ctx, c.Resolver, t.Env.ReversePath)
	}) {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		f.cancel = cancel
		f.early.Go(func() { f.spf = spf.Check(ctx, c.Resolver, in) })
		f.sender = lookUpSender(ctx, c.Resolver, t.Env.ReversePath)
	}
	<-f.peer.done // it has the same limit
	return true
}

// offline runs find with what the resolver knows without asking. It is false if that was
// not enough: what find has found then is to be found again.
func (c *Checks) offline(ctx context.Context, find func(context.Context)) bool {
	r, ok := c.Resolver.(interface {
		Offline(context.Context) *dns.Offline
	})
	if !ok {
		return false
	}
	off := r.Offline(ctx)
	find(off)
	return !off.Missed()
}

// forwards reports whether an address of ours leads the message elsewhere: it is
// sealed then.
func (t *Transaction) forwards() bool {
	return slices.ContainsFunc(t.ways, func(w way) bool { return w.alias && len(w.remote) > 0 })
}

// end stops what is still under way.
func (f *findings) end() {
	if f != nil && f.cancel != nil {
		f.cancel()
		f.early.Wait()
	}
}

// findings waits for all that is to be found; nil if this mail is not checked.
func (t *Transaction) findings(ctx context.Context, h *message.Header) *findings {
	f := t.found
	if f == nil || f.gathered {
		return f
	}
	f.gathered = true
	c := t.s.opts.Checks
	f.body.Finish()
	var domains []string
	domains, f.oneFrom = authorDomains(h)
	f.authors = make([]dmarc.Policy, len(domains))
	known := f.body.Known(t.s.keys) && c.offline(ctx, func(ctx context.Context) {
		for i, d := range domains {
			f.authors[i] = dmarc.Discover(ctx, c.Resolver, d)
		}
		if ctx.(*dns.Offline).Missed() {
			return // no signature is verified for nothing
		}
		f.dkim = f.body.Verify(ctx, t.s.keys)
		f.arc = arc.Validate(ctx, f.body, t.s.keys)
	})
	if !known {
		t.ask(ctx, domains)
	}
	f.early.Wait()
	return f
}

// ask finds what stands in the message and DNS, all at once.
func (t *Transaction) ask(ctx context.Context, domains []string) {
	f, c := t.found, t.s.opts.Checks
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var late sync.WaitGroup
	for i, d := range domains {
		late.Go(func() { f.authors[i] = dmarc.Discover(ctx, c.Resolver, d) })
	}
	// The two read the same message, and one goroutine owns it.
	f.dkim = f.body.Verify(ctx, t.s.keys)
	f.arc = arc.Validate(ctx, f.body, t.s.keys)
	late.Wait()
}

// authorDomains are the domains of the one From field, each once; false if there is no
// such field, or none or too many domains in it.
func authorDomains(h *message.Header) ([]string, bool) {
	if h.Count("From") != 1 {
		return nil, false
	}
	value := h.RawValue("From")
	var domains []string
	if list, ok := parseStrict(value); ok {
		for _, a := range list {
			domains = append(domains, string(a.Domain))
		}
	} else {
		domains = domainsIn(value)
	}
	slices.Sort(domains)
	domains = slices.Compact(domains)
	return domains, len(domains) > 0 && len(domains) <= maxAuthors
}

// domainsIn finds whatever any reader could take for the domain of an author in a
// From field that does not parse, as "a@example.org <a@example.org>" or "Name, Inc.
// <a@example.org>", which honest programs write.
func domainsIn(value []byte) []string {
	var domains []string
	for part := range bytes.SplitSeq(value, []byte{'@'}) {
		end := bytes.IndexFunc(part, func(r rune) bool {
			return r < utf8.RuneSelf && r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
		})
		if end < 0 {
			end = len(part)
		}
		if domains = append(domains, strings.ToLower(string(part[:end]))); len(domains) > 2*maxAuthors {
			break
		}
	}
	return slices.DeleteFunc(domains[1:], func(d string) bool { return !strings.Contains(d, ".") })
}

// believes reports whether domain is one of the trusted sealers.
func (c *Checks) believes(domain string) bool {
	for _, s := range c.Sealers {
		if s = strings.ToLower(s); domain == s || strings.HasSuffix(domain, "."+s) {
			return true
		}
	}
	return false
}
