// Package dkim verifies and makes DKIM signatures (RFC 6376, RFC 8301, RFC 8463)
// and holds what ARC (RFC 8617) shares with them.
//
// A [Message] is written to while a message streams by: it keeps the header section
// and digests the body, once for each of the two canonicalisations, however many
// signatures there are. [Message.Verify] then judges all signatures, with the
// public keys of a [Keys]; [Message.AppendSignature] signs.
//
// Guarantees:
//
//   - One pass over the body and no copy of it. At most Limits.Signatures are
//     looked at; their cost does not grow with the size of the body.
//   - Only rsa-sha256 with 1024 to 4096 bits and ed25519-sha256 can pass. A
//     signature that leaves bytes of the body unsigned never passes.
//   - What DNS could not tell is TempError, never Fail.
//   - The package does no I/O but through its dns.Resolver, and takes the time as
//     a parameter. A Message belongs to one goroutine; a Keys is for all.
package dkim

// A Status is the outcome for one signature, by the names of RFC 8601 §2.7.1.
type Status uint8

// The outcomes.
const (
	None      Status = iota // there is no signature
	Pass                    // the signature holds
	Fail                    // it does not: changed on the way, expired, or forged
	Policy                  // it holds, but covers too little or by too weak a key
	TempError               // the key could not be had; it may be later
	PermError               // not a signature that can be checked, or its key is no key
)

func (s Status) String() string {
	return [...]string{"none", "pass", "fail", "policy", "temperror", "permerror"}[s]
}

// A Result is the outcome for one signature. Its strings are printable ASCII, or
// UTF-8 where the message was internationalised.
type Result struct {
	Status    Status
	Reason    string // why it did not pass; "" if it did
	Domain    string // d=, lower case, A-labels; "" if the signature could not be read
	Identity  string // i=, or "@" and d=
	Selector  string
	Algorithm string // "rsa-sha256"
	Bits      int    // of an RSA key
	B         string // the first characters of b=, to tell signatures apart (RFC 6008)
	Testing   bool   // the domain says that it is only testing (t=y in the key record)
	Secure    bool   // the key came with DNSSEC
}

// Limits of what is looked at. Zero fields take their defaults.
type Limits struct {
	Signatures  int // 10
	HeaderBytes int // of the header section; 1 MB
	Fields      int // of it; 10,000
	Names       int // in the h= of a signature; 1,000
}

func (l Limits) withDefaults() Limits {
	set(&l.Signatures, 10)
	set(&l.HeaderBytes, 1<<20)
	set(&l.Fields, 10_000)
	set(&l.Names, 1_000)
	return l
}

func set(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

// Sizes of RSA keys, RFC 8301 §3.2. Above the largest, checking costs the verifier
// more than the signer.
const (
	minBits = 1024
	maxBits = 4096
)
