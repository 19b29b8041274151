package directory

import (
	"net/netip"
)

// Banned reports that the network of an address has failed too often: at logins, or by
// what others blame it for. Who is banned should be told to come again later.
func (d *Directory) Banned(a netip.Addr) bool { return d.failures.banned(a, d.opts.Now()) }

// Blame counts n failures against the network of an address that did what no honest
// client does, as trying names of recipients.
func (d *Directory) Blame(a netip.Addr, n int) {
	now := d.opts.Now()
	for range min(n, d.failures.limits.PerMinute+1) {
		d.failures.add(a, now)
	}
}
