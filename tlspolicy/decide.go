package tlspolicy

import (
	"fmt"

	"posthouse/mail"
	"posthouse/tlspolicy/mtasts"
	"posthouse/tlspolicy/tlsrpt"
)

// A kind is how a server is talked to.
type kind uint8

const (
	opportunistic kind = iota // TLS where it is offered, any certificate, else plain text
	pkixVerify                // TLS with a certificate for the host's name
	daneVerify                // TLS that the TLSA records confirm
	daneEncrypt               // TLS with any certificate: there are TLSA records, none usable
	daneFail                  // not at all: TLSA records cannot be had
	stsVerify                 // pkixVerify by an MTA-STS policy
	stsTest                   // opportunistic, what breaks the policy is reported
	stsFail                   // not at all: the MTA-STS policy does not name the host
)

func (k kind) name() string {
	return [...]string{"opportunistic", "pkix", "dane", "dane-encrypt", "dane-fail", "sts", "sts-test", "sts-fail"}[k]
}

// A daneState is what became of the lookup of TLSA records.
type daneState uint8

const (
	daneNone     daneState = iota // proved absent, or not validated
	daneUsable                    // there are some that we understand
	daneUnusable                  // there are only others
	daneBroken                    // there may be some: the lookup failed
)

// facts are what a decision depends on.
type facts struct {
	need     Need
	mxSecure bool
	dane     daneState
	sts      mtasts.Mode // None: there is no policy
	covered  bool        // the policy names the host
}

// A decision is a row of the table.
type decision struct {
	when    func(facts) bool
	kind    kind
	exclude string        // the host must not be used, and why, for TLS-RPT
	final   bool          // so that waiting does not help
	result  tlsrpt.Result // of what is excluded
	why     string        // in words, with the host and the domain
}

// decisions is the table: the first row that holds counts.
var decisions = []decision{
	// The sender wants it delivered more than kept secret: RFC 8689 §4.2.2.
	{when: func(f facts) bool { return f.need == NeedDelivery }, kind: opportunistic},

	// DANE, RFC 7672 §2.2. Records that cannot be had may be kept from us by whoever
	// sits in between.
	{when: func(f facts) bool { return f.dane == daneBroken }, kind: daneFail, exclude: "tlsa-lookup-failed", result: tlsrpt.DNSSECInvalid,
		why: "the TLSA records of %[1]s cannot be looked up securely just now"},
	{when: func(f facts) bool { return f.dane == daneUsable }, kind: daneVerify},
	{when: func(f facts) bool { return f.dane == daneUnusable && f.need == NeedTLS && !enforced(f) }, kind: daneFail, exclude: "tlsa-unusable", final: true, result: tlsrpt.TLSAInvalid,
		why: "the message requires verified TLS, and the TLSA records of %[1]s are of no use for that"},
	{when: func(f facts) bool { return f.dane == daneUnusable && !enforced(f) }, kind: daneEncrypt},

	// MTA-STS, RFC 8461 §5.
	{when: func(f facts) bool { return f.sts == mtasts.Enforce && !f.covered }, kind: stsFail, exclude: "mx-mismatch", result: tlsrpt.ValidationFailure,
		why: "the MTA-STS policy of %[2]s does not allow the mail server %[1]s"},
	{when: func(f facts) bool { return f.sts == mtasts.Enforce }, kind: stsVerify},

	// REQUIRETLS without either: RFC 8689 §4.2.1 wants a name that DNSSEC or MTA-STS
	// vouches for, and a certificate for it.
	{when: func(f facts) bool { return f.need == NeedTLS && (f.mxSecure || f.sts == mtasts.Testing && f.covered) }, kind: pkixVerify},
	{when: func(f facts) bool { return f.need == NeedTLS }, kind: opportunistic, exclude: "requiretls", final: true, result: tlsrpt.ValidationFailure,
		why: "the message requires verified TLS, and neither DNSSEC nor MTA-STS says that %[1]s is a mail server of %[2]s"},

	{when: func(f facts) bool { return f.sts == mtasts.Testing }, kind: stsTest},
	{when: func(facts) bool { return true }, kind: opportunistic},
}

// enforced: MTA-STS gives what unusable TLSA records cannot.
func enforced(f facts) bool { return f.sts == mtasts.Enforce }

func decide(f facts) decision {
	for _, row := range decisions {
		if row.when(f) {
			return row
		}
	}
	return decision{} // the last row always holds
}

// exclusion is the verdict for recipients when only excluded servers are left: tried
// again, unless waiting does not help.
func exclusion(row decision, host, domain string) mail.Reply {
	r := mail.Reply{Code: 451, Enhanced: [3]uint8{4, 7, 5}, Text: fmt.Sprintf(row.why, host, domain)}
	if row.final {
		r.Code, r.Enhanced = 550, [3]uint8{5, 7, 10}
	}
	return r
}
