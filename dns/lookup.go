package dns

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// LookupMX implements Resolver.
func (c *Client) LookupMX(ctx context.Context, name string) (Answer[MX], error) {
	return find(ctx, c, name, mdns.TypeMX, func(rr mdns.RR) (MX, bool) {
		mx, ok := rr.(*mdns.MX)
		if !ok {
			return MX{}, false
		}
		host := canonical(mx.Mx)
		if host == "" {
			host = "."
		}
		return MX{mx.Preference, host}, true
	})
}

// LookupTXT implements Resolver.
func (c *Client) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return find(ctx, c, name, mdns.TypeTXT, func(rr mdns.RR) (string, bool) {
		txt, ok := rr.(*mdns.TXT)
		if !ok {
			return "", false
		}
		return unescape(strings.Join(txt.Txt, "")), true
	})
}

// LookupPTR implements Resolver.
func (c *Client) LookupPTR(ctx context.Context, ip netip.Addr) (Answer[string], error) {
	name, err := mdns.ReverseAddr(ip.Unmap().WithZone("").String())
	if err != nil {
		return Answer[string]{}, &Error{Name: ip.String(), Type: "PTR", Err: ErrBadName}
	}
	return find(ctx, c, name, mdns.TypePTR, func(rr mdns.RR) (string, bool) {
		ptr, ok := rr.(*mdns.PTR)
		if !ok {
			return "", false
		}
		return canonical(ptr.Ptr), true
	})
}

// LookupSRV returns the SRV records of name, as "_imaps._tcp.example.org".
func (c *Client) LookupSRV(ctx context.Context, name string) (Answer[SRV], error) {
	return find(ctx, c, name, mdns.TypeSRV, func(rr mdns.RR) (SRV, bool) {
		s, ok := rr.(*mdns.SRV)
		if !ok {
			return SRV{}, false
		}
		target := canonical(s.Target)
		if target == "" {
			target = "."
		}
		return SRV{s.Priority, s.Weight, s.Port, target}, true
	})
}

// LookupCAA returns the CAA records at name, not those of the names above it.
func (c *Client) LookupCAA(ctx context.Context, name string) (Answer[CAA], error) {
	return find(ctx, c, name, mdns.TypeCAA, func(rr mdns.RR) (CAA, bool) {
		r, ok := rr.(*mdns.CAA)
		if !ok {
			return CAA{}, false
		}
		return CAA{r.Tag, r.Value}, true
	})
}

// LookupTLSA implements Resolver.
func (c *Client) LookupTLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	return find(ctx, c, name, mdns.TypeTLSA, func(rr mdns.RR) (TLSA, bool) {
		t, ok := rr.(*mdns.TLSA)
		if !ok {
			return TLSA{}, false
		}
		data, err := hex.DecodeString(t.Certificate)
		return TLSA{t.Usage, t.Selector, t.MatchingType, data}, err == nil
	})
}

// LookupAddr implements Resolver. Addresses of one family are good enough if the
// other fails to answer; Answer.Missing then says why.
func (c *Client) LookupAddr(ctx context.Context, name string) (Answer[netip.Addr], error) {
	type result struct {
		a   Answer[netip.Addr]
		err error
	}
	var r4 result
	var four chan result
	if e := c.known(question{canonical(name), mdns.TypeA}); e != nil && ctx.Err() == nil {
		r4.a, r4.err = answer(question{canonical(name), mdns.TypeA}, e, addrOf)
	} else if ctx.Value(offlineKey{}) != nil {
		return find(ctx, c, name, mdns.TypeA, addrOf)
	} else {
		four = make(chan result, 1)
		go func() {
			a, err := find(ctx, c, name, mdns.TypeA, addrOf)
			four <- result{a, err}
		}()
	}
	a6, err6 := find(ctx, c, name, mdns.TypeAAAA, addrOf)
	if four != nil {
		r4 = <-four
	}
	a4, err4 := r4.a, r4.err
	switch {
	case err6 == nil && err4 == nil:
		if a6.Expires.Before(a4.Expires) {
			a4.Expires = a6.Expires
		}
		all := append(append(make([]netip.Addr, 0, len(a6.Records)+len(a4.Records)), a6.Records...), a4.Records...)
		return Answer[netip.Addr]{Records: all, Secure: a6.Secure && a4.Secure, Name: a4.Name, Expires: a4.Expires}, nil
	case err4 == nil:
		return half(a4, err6), nil
	case err6 == nil:
		return half(a6, err4), nil
	case IsAbsent(err4) && IsAbsent(err6):
		return Answer[netip.Addr]{}, err4
	case IsAbsent(err4):
		return Answer[netip.Addr]{}, err6
	}
	return Answer[netip.Addr]{}, err4
}

// half is the answer where one family has addresses and the other gave err. What was
// validated stays so if the other did not answer: else whoever can keep an answer
// away could switch DNSSEC off.
func half(a Answer[netip.Addr], err error) Answer[netip.Addr] {
	var e *Error
	if errors.As(err, &e) && IsAbsent(e) {
		a.Secure = a.Secure && e.Secure
	} else {
		a.Missing = err
	}
	return a
}

func addrOf(rr mdns.RR) (netip.Addr, bool) {
	switch a := rr.(type) {
	case *mdns.A:
		ip, ok := netip.AddrFromSlice(a.A)
		return ip.Unmap(), ok
	case *mdns.AAAA:
		return netip.AddrFromSlice(a.AAAA)
	}
	return netip.Addr{}, false
}

// maxRecords bounds the records taken from one answer.
const maxRecords = 256

// find looks up one type of record and converts what conv accepts.
func find[T any](ctx context.Context, c *Client, name string, qtype uint16, conv func(mdns.RR) (T, bool)) (Answer[T], error) {
	if err := ctx.Err(); err != nil {
		return Answer[T]{}, err
	}
	q := question{canonical(name), qtype}
	e := c.known(q)
	if e == nil {
		if off, ok := ctx.Value(offlineKey{}).(*Offline); ok {
			off.missed.Store(true)
			return Answer[T]{}, errOffline
		}
		if _, ok := mdns.IsDomainName(q.name); !ok || q.name == "" {
			return Answer[T]{}, &Error{Name: q.name, Type: mdns.TypeToString[qtype], Err: ErrBadName}
		}
		var err error
		if e, err = c.lookup(ctx, q); err != nil {
			return Answer[T]{}, err // the caller's context
		}
	}
	return answer(q, e, conv)
}

// answer is what an entry says, made once.
func answer[T any](q question, e *entry, conv func(mdns.RR) (T, bool)) (Answer[T], error) {
	records, made := e.records.Load().([]T)
	if !made {
		for _, rr := range e.rrs {
			if v, ok := conv(rr); ok {
				records = append(records, v)
			}
		}
		records = slices.Clip(records) // whoever appends to it has a copy
		e.records.Store(records)
	}
	if len(records) > 0 {
		return Answer[T]{Records: records, Secure: e.secure, Name: e.name, Expires: e.expires}, nil
	}
	failure := e.failure.Load()
	if failure == nil {
		failure = &Error{Name: q.name, Type: mdns.TypeToString[q.qtype], Secure: e.secure, Err: e.err, Detail: e.detail}
		if e.err == nil {
			failure.Secure, failure.Err, failure.Detail = false, ErrTemporary, "malformed records"
		}
		e.failure.Store(failure)
	}
	return Answer[T]{}, failure
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// unescape undoes the presentation form in which the library keeps TXT strings.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
