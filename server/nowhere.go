package server

import (
	"context"
	"net/netip"

	"posthouse/dns"
)

// nowhere is the DNS of the demo and of stopped servers: nobody is asked, and no
// other domain exists.
type nowhere struct{}

func (nowhere) absent(name, kind string) error {
	return &dns.Error{Name: name, Type: kind, Err: dns.ErrNotExist, Detail: "nobody was asked"}
}

// LookupMX finds nothing.
func (n nowhere) LookupMX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{}, n.absent(name, "MX")
}

// LookupAddr finds nothing.
func (n nowhere) LookupAddr(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, n.absent(name, "A")
}

// LookupTXT finds nothing.
func (n nowhere) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	return dns.Answer[string]{}, n.absent(name, "TXT")
}

// LookupPTR finds nothing.
func (n nowhere) LookupPTR(_ context.Context, ip netip.Addr) (dns.Answer[string], error) {
	return dns.Answer[string]{}, n.absent(ip.String(), "PTR")
}

// LookupTLSA finds nothing.
func (n nowhere) LookupTLSA(_ context.Context, name string) (dns.Answer[dns.TLSA], error) {
	return dns.Answer[dns.TLSA]{}, n.absent(name, "TLSA")
}

// LookupSRV finds nothing.
func (n nowhere) LookupSRV(_ context.Context, name string) (dns.Answer[dns.SRV], error) {
	return dns.Answer[dns.SRV]{}, n.absent(name, "SRV")
}

// LookupCAA finds nothing.
func (n nowhere) LookupCAA(_ context.Context, name string) (dns.Answer[dns.CAA], error) {
	return dns.Answer[dns.CAA]{}, n.absent(name, "CAA")
}
