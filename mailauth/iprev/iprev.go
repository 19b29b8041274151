// Package iprev finds the name of a client whose address the name confirms: the
// method "iprev" of RFC 8601 §3. It does no I/O but through its dns.Resolver, and
// asks for the addresses of at most 10 names.
package iprev

import (
	"context"
	"net/netip"
	"slices"

	"posthouse/dns"
)

// A Status is the outcome, RFC 8601 §2.7.3.
type Status uint8

// The outcomes.
const (
	None      Status = iota // there is no address to look at
	Pass                    // a name leads back to the address
	Fail                    // there are names, but none does
	TempError               // DNS failed; it may not later
	PermError               // there is no name
)

// Bad reports that the client has no name that leads back to it.
func (s Status) Bad() bool { return s == Fail || s == PermError }

func (s Status) String() string {
	return [...]string{"none", "pass", "fail", "temperror", "permerror"}[s]
}

// A Result is the outcome.
type Result struct {
	Status Status
	Name   string // of Pass
}

// maxNames is far more than an honest host has.
const maxNames = 10

// Check finds the name of ip.
func Check(ctx context.Context, r dns.Resolver, ip netip.Addr) Result {
	if !ip.IsValid() {
		return Result{}
	}
	ip = ip.Unmap().WithZone("")
	a, err := r.LookupPTR(ctx, ip)
	switch {
	case err != nil && dns.IsAbsent(err):
		return Result{Status: PermError}
	case err != nil:
		return Result{Status: TempError}
	}
	failed := false
	for _, name := range a.Records[:min(len(a.Records), maxNames)] {
		b, err := r.LookupAddr(ctx, name)
		if err == nil && slices.Contains(b.Records, ip) {
			return Result{Pass, name}
		}
		failed = failed || b.Missing != nil || err != nil && !dns.IsAbsent(err)
	}
	if failed {
		return Result{Status: TempError}
	}
	return Result{Status: Fail}
}
