// Package dns looks up what mail needs to know: MX, addresses, TXT, PTR and TLSA
// records, each answer with its DNSSEC status.
//
// Guarantees of [Client]:
//
//   - An answer says Secure only if the resolver that gave it validates (its AD
//     bit) and is trusted: configured with TrustAD, or reached over loopback.
//   - A failed lookup tells a name that does not exist from one without such
//     records and from a failure that may pass; see the errors. What is not certain
//     is ErrTemporary, so that no mail bounces because of a broken resolver.
//   - Answers, also negative ones, are cached for as long as their TTL allows and
//     no longer than MaxTTL; the cache holds at most CacheEntries of them. Equal
//     lookups at the same time are one query.
//   - Each lookup ends within Timeout × Attempts × servers, or with its context.
//
// The Client is a stub: it needs a recursive resolver. Names are given and
// returned in A-label form, without the trailing dot, in lower case.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Why a lookup failed. Every error of a Resolver, except for that of the caller's
// own context, is an *[Error] that wraps one of these.
var (
	ErrNotExist  = errors.New("no such name")      // NXDOMAIN
	ErrNoData    = errors.New("no such records")   // the name exists
	ErrTemporary = errors.New("lookup failed")     // time-out, SERVFAIL, REFUSED …
	ErrBadName   = errors.New("not a domain name") // never asked
)

// An Error is a failed lookup.
type Error struct {
	Name, Type string // as asked: "example.org", "MX"
	Secure     bool   // the absence is proved by DNSSEC
	Err        error  // ErrNotExist, ErrNoData, ErrTemporary or ErrBadName
	Detail     string // for the log: "SERVFAIL from 127.0.0.1:53"
}

func (e *Error) Error() string {
	s := fmt.Sprintf("dns: %s %s: %v", e.Name, e.Type, e.Err)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// IsAbsent reports that err proves that there are no such records, now: a retry
// will not help.
func IsAbsent(err error) bool {
	return errors.Is(err, ErrNotExist) || errors.Is(err, ErrNoData) || errors.Is(err, ErrBadName)
}

// An Answer is the result of a lookup. Records is never empty and must not be
// changed: it is shared with the cache.
type Answer[T any] struct {
	Records []T
	Secure  bool      // validated by DNSSEC, aliases included
	Name    string    // where the records stand: the name asked for, or what it is an alias of
	Expires time.Time // by the smallest TTL
	// Missing is why addresses of one family could not be had although there may be
	// some; nil: these are all. Only LookupAddr sets it.
	Missing error
}

// An MX record. Host is "." in a null MX, RFC 7505 §3.
type MX struct {
	Preference uint16
	Host       string
}

// A TLSA record, RFC 6698 §2.1.
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// An SRV record, RFC 2782. Target is "." where the service is not offered.
type SRV struct {
	Priority, Weight, Port uint16
	Target                 string
}

// A CAA record, RFC 8659 §4.1.
type CAA struct{ Tag, Value string }

// A Resolver looks up records. [Client] is the real one.
type Resolver interface {
	// LookupMX returns the MX records of name, in no order.
	LookupMX(ctx context.Context, name string) (Answer[MX], error)
	// LookupAddr returns the AAAA and A records of name, those of IPv6 first. It is
	// Secure if both are, or the one that answered is: see Answer.Missing.
	LookupAddr(ctx context.Context, name string) (Answer[netip.Addr], error)
	// LookupTXT returns the TXT records of name, the strings of each joined.
	LookupTXT(ctx context.Context, name string) (Answer[string], error)
	// LookupPTR returns the names of ip. They prove nothing until LookupAddr of the
	// name leads back to ip.
	LookupPTR(ctx context.Context, ip netip.Addr) (Answer[string], error)
	// LookupTLSA returns the TLSA records at name, as "_25._tcp.mx.example.org".
	LookupTLSA(ctx context.Context, name string) (Answer[TLSA], error)
}
