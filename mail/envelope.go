package mail

import (
	"math"
	"time"
)

import "fmt"

// A Reply is an SMTP reply, RFC 5321 §4.2, with its enhanced status code, RFC
// 3463. It is also the verdict of delivery: SMTP writes it, the queue makes
// bounces of it. The zero Reply is "no verdict".
type Reply struct {
	Code     int      // 250, 451, 550 …
	Enhanced [3]uint8 // {5, 1, 1}; all zero where the reply has none
	Text     string   // may hold several lines, separated by \n
}

// Positive reports a 2xx reply, Transient a 4xx, Permanent a 5xx.
func (r Reply) Positive() bool  { return r.Code/100 == 2 }
func (r Reply) Transient() bool { return r.Code/100 == 4 }
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

func (r Reply) String() string {
	if r.Enhanced == [3]uint8{} {
		return fmt.Sprintf("%d %s", r.Code, r.Text)
	}
	return fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.Enhanced[0], r.Enhanced[1], r.Enhanced[2], r.Text)
}

// NotifyMask is the NOTIFY parameter of a recipient, RFC 3461 §4.1. Zero means
// that it was not given.
type NotifyMask uint8

const (
	NotifyNever NotifyMask = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// A Recipient is one RCPT TO with its DSN parameters.
type Recipient struct {
	Address  Address
	Notify   NotifyMask
	Original string // ORCPT as "type;address", decoded from xtext (RFC 3461 §4.2); "" if not given
}

// BodyType is the BODY parameter of MAIL, RFC 6152 §2 and RFC 3030 §3.
type BodyType uint8

const (
	Body7Bit BodyType = iota
	Body8BitMIME
	BodyBinaryMIME
)

// UntilReleased as an Envelope's HoldUntil keeps a message until an operator lets it go.
var UntilReleased = time.Unix(0, math.MaxInt64)

// An Envelope is what SMTP says about a message outside of its bytes.
type Envelope struct {
	ReversePath Address // null for a bounce
	Recipients  []Recipient
	Body        BodyType
	UTF8        bool   // SMTPUTF8 was given, RFC 6531 §3.4
	ReturnFull  bool   // RET=FULL, RFC 3461 §4.3
	EnvID       string // ENVID, decoded from xtext, RFC 3461 §4.4
	Size        int64  // as declared by SIZE, RFC 1870 §3; 0: not
	TraceID     string // ours: the id that stands in every log line about this message

	// Account is who of us handed the message in; 0: nobody. The queue shares its
	// work fairly between them.
	Account AccountID
	// HoldUntil is when sending may begin, FUTURERELEASE (RFC 4865 §4); zero: at once.
	HoldUntil time.Time
	// DeliverBy is when the sender wants it delivered, DELIVERBY (RFC 2852 §4); zero:
	// whenever. ByReturn gives it up then (mode R), else the sender is told that it
	// takes longer (mode N). ByTrace also asks for reports of those it passes (T).
	DeliverBy         time.Time
	ByReturn, ByTrace bool
	// Priority is of MT-PRIORITY (RFC 6710 §5), -9 to 9; more is more urgent.
	Priority int8
	// RequireTLS lets the message go only over TLS that is verified, to servers that
	// promise the same (RFC 8689 §2).
	RequireTLS bool
	// TLSOptional is "TLS-Required: No" in the header: what the receiver's domain says
	// about TLS does not count (RFC 8689 §3).
	TLSOptional bool
}
