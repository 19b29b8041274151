package dns

import (
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"
)

// An entry is what is known about one question. It is never changed, but for what is
// made of it at the first lookup, so that others cost no memory.
type entry struct {
	records atomic.Value          // []T of a lookup: one type for each type of record
	failure atomic.Pointer[Error] // of err

	rrs     []mdns.RR
	name    string // after aliases
	secure  bool
	expires time.Time
	err     error // nil, or why there are no rrs
	detail  string
}

// maxAliases bounds a chain of CNAME records.
const maxAliases = 16

// entryOf reads an answer: it follows the aliases from the question and keeps the
// records at their end.
func (c *Client) entryOf(q question, m *mdns.Msg, secure bool) *entry {
	e := &entry{name: q.name, secure: secure}
	ttl := c.opt.MaxTTL
	for hops := 0; ; hops++ {
		if hops > maxAliases {
			return c.failed("endless aliases")
		}
		var alias string
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != mdns.ClassINET || canonical(h.Name) != e.name {
				continue
			}
			if cname, ok := rr.(*mdns.CNAME); ok && q.qtype != mdns.TypeCNAME {
				alias = canonical(cname.Target)
				ttl = min(ttl, seconds(h.Ttl))
			} else if h.Rrtype == q.qtype && len(e.rrs) < maxRecords {
				e.rrs = append(e.rrs, rr)
				ttl = min(ttl, seconds(h.Ttl))
			}
		}
		if len(e.rrs) > 0 || alias == "" {
			break
		}
		e.name = alias
	}
	if len(e.rrs) == 0 {
		e.err = ErrNoData
		if m.Rcode == mdns.RcodeNameError {
			e.err = ErrNotExist
		}
		ttl = min(ttl, c.negativeTTL(m))
	}
	e.expires = c.opt.Now().Add(ttl)
	return e
}

// negativeTTL is the smaller of the TTL and the MINIMUM field of the SOA record,
// RFC 2308 §5; an absence without SOA is not kept.
func (c *Client) negativeTTL(m *mdns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*mdns.SOA); ok {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl), c.opt.MaxNegative)
		}
	}
	return 0
}

func seconds(n uint32) time.Duration {
	if n > 1<<31-1 { // RFC 2181: a TTL with the top bit set counts as 0
		return 0
	}
	return time.Duration(n) * time.Second
}

// keepLocked puts e into the cache, and makes room if it is full: of a few entries
// the one that expires first goes.
func (c *Client) keepLocked(q question, e *entry) {
	if !c.opt.Now().Before(e.expires) {
		delete(c.cache, q)
		return
	}
	if _, there := c.cache[q]; !there && len(c.cache) >= c.opt.CacheEntries {
		var victim question
		var first time.Time
		tries := 0
		for k, v := range c.cache { // random order
			if tries == 0 || v.expires.Before(first) {
				victim, first = k, v.expires
			}
			if tries++; tries == 8 {
				break
			}
		}
		delete(c.cache, victim)
	}
	c.cache[q] = e
}
