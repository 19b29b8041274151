package smtp

import (
	"time"

	"posthouse/delivery"
)

// A Face is one way to serve: what is offered and required of the peer.
type Face uint8

// The faces.
const (
	MX          Face = iota // from other servers, port 25
	Submission              // from our accounts, port 587, STARTTLS (RFC 6409)
	Submissions             // the same, port 465, TLS at once (RFC 8314 §3.3)
	LMTP                    // from a trusted server beside us (RFC 2033)
)

func (f Face) String() string { return faces[f].name }

// A face is one row of the table.
type face struct {
	name     string
	origin   delivery.Origin
	greeting string // protocol in the greeting
	implicit bool   // TLS before the greeting
	startTLS bool
	login    bool // offers AUTH and requires it before MAIL
	lmtp     bool // LHLO; one reply for each recipient
	trusted  bool // no limits on the connection as a whole

	session      func(l *Limits) time.Duration
	sessionBytes func(l *Limits) int64
}

var faces = [...]face{
	MX: {name: "mx", origin: delivery.FromMX, greeting: "ESMTP", startTLS: true,
		session:      func(l *Limits) time.Duration { return l.MXSession },
		sessionBytes: func(l *Limits) int64 { return l.MXSessionBytes }},
	Submission: {name: "submission", origin: delivery.FromSubmission, greeting: "ESMTP", startTLS: true, login: true,
		session:      func(l *Limits) time.Duration { return l.SubmissionSession },
		sessionBytes: func(*Limits) int64 { return endless }},
	Submissions: {name: "submissions", origin: delivery.FromSubmission, greeting: "ESMTP", implicit: true, login: true,
		session:      func(l *Limits) time.Duration { return l.SubmissionSession },
		sessionBytes: func(*Limits) int64 { return endless }},
	LMTP: {name: "lmtp", origin: delivery.FromLMTP, greeting: "LMTP", lmtp: true, trusted: true,
		session:      func(*Limits) time.Duration { return endless },
		sessionBytes: func(*Limits) int64 { return endless }},
}
