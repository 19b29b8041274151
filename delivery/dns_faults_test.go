package delivery

import (
	"testing"
	"time"

	"posthouse/dns/dnstest"
)

// Whatever DNS does for one of the records that are asked for, honest mail is taken or
// comes again: nothing that DNS could not say refuses it for good, and a refusal for now
// stores nothing.
func TestDNSFaults(t *testing.T) {
	faults := map[string]dnstest.Fault{
		"silent": {Silent: true}, "fails": dnstest.ServFail, "slow": {Slow: 400 * time.Millisecond}, "wrong id": {WrongID: true},
		"empty": {Empty: true}, "cut, and TCP is silent": {Truncated: true}, "cut": {Truncate: true}, "none": {},
	}
	records := []struct{ name, qtype string }{
		{"far.test", "MX"}, {"far.test", "A"}, {"far.test", "TXT"}, {"_dmarc.far.test", "TXT"}, {"s._domainkey.far.test", "TXT"},
		{"1.2.0.192.in-addr.arpa", "PTR"}, {"mx.far.test", "A"}, {"far.test", ""},
	}
	for name, fault := range faults {
		for _, rec := range records {
			t.Run(name+"/"+rec.name+" "+rec.qtype, func(t *testing.T) {
				t.Parallel()
				c := newChecked(t, func(c *Checks) {
					if name != "none" {
						c.Timeout = 200 * time.Millisecond
					}
				})
				c.dns.SetFault(rec.name, rec.qtype, fault)
				began := time.Now()
				text := c.sign("far.test", from("eve@far.test"))

				tx, r := c.admitted(at(good), "eve@far.test")
				if r.Code == 0 {
					_, _ = tx.Write([]byte(text))
					r = tx.Accept(t.Context())
				}
				if r.Permanent() || name == "none" && !r.Positive() {
					t.Errorf("%v", r)
				}
				if got := len(c.inbox("ada@demo.test")) + int(c.junk()); (got == 1) != r.Positive() {
					t.Errorf("%v, and %d copies", r, got)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}
