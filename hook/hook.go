// Package hook asks other programs about a message before it is taken: milters
// (protocol version 6, as Sendmail and Postfix speak it), Rspamd over HTTP and ClamAV's
// daemon. Each is asked once, when the whole message is there, and answers within its
// time; what holds if it does not is configured for each (see [Asked]).
//
// A hook sees the message as it will be stored and may refuse it, file it as junk and add
// header fields. It cannot change what is there: a message is kept as it came. Milters
// are told so when they negotiate, and what they ask for beyond that is noted among the
// findings and not done.
//
// What a hook answers is bounded in size and never trusted to end a header field. The
// package holds no state but its configuration.
package hook

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"posthouse/mail"
)

// A Message is what hooks are asked about.
type Message struct {
	ID      string     // trace id
	Host    string     // our name
	Remote  netip.Addr // zero: not known
	Name    string     // of Remote, confirmed by DNS; "" if it has none
	Hello   string
	Account string // who logged in
	From    mail.Address
	To      []mail.Address
	Prefix  []byte      // header lines that will stand in front
	Content io.ReaderAt // the rest
	Size    int64       // of Content
}

// Reader reads the whole message.
func (m *Message) Reader() io.Reader {
	return io.MultiReader(strings.NewReader(string(m.Prefix)), io.NewSectionReader(m.Content, 0, m.Size))
}

// An Action is what a hook wants done.
type Action uint8

// The actions, in order of weight.
const (
	Pass    Action = iota
	Junk           // file it as junk
	Discard        // say yes and drop it
	Defer          // not now: Reply
	Reject         // never: Reply
)

// A Verdict is what a hook says.
type Verdict struct {
	Action   Action
	Reply    mail.Reply // of Defer and Reject
	Header   []byte     // whole lines to put in front of the message
	Findings []mail.Finding
}

// A Hook is one program to ask.
type Hook interface {
	// Ask asks about a message; it honours ctx. An error means that there is no answer.
	Ask(ctx context.Context, m *Message) (Verdict, error)
}

// Asked is a Hook with what holds for it.
type Asked struct {
	Name string // in findings and logs, as "milter 127.0.0.1:8891"
	Hook Hook
	// Time is how long it may take; 10 s.
	Time time.Duration
	// Open takes the message as if nobody had been asked if there is no answer; else it
	// is deferred.
	Open bool
	// Submitted and Received say which mail it is asked about.
	Submitted, Received bool
}

const defaultTime = 10 * time.Second

var replyNoAnswer = mail.Reply{Code: 451, Enhanced: [3]uint8{4, 7, 1}, Text: "A filter of this server does not answer; try again later"}

// Ask asks within the time, and makes the verdict of no answer.
func (a *Asked) Ask(ctx context.Context, m *Message) (Verdict, error) {
	limit := a.Time
	if limit <= 0 {
		limit = defaultTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := a.Hook.Ask(ctx, m)
	if err == nil {
		return v, nil
	}
	v = Verdict{Findings: []mail.Finding{{Check: a.Name, Result: "temperror", Text: "no answer"}}}
	if !a.Open {
		v.Action, v.Reply = Defer, replyNoAnswer
	}
	return v, &mail.Error{Kind: mail.Unavailable, Op: "hook.Ask", Text: a.Name + " does not answer", Err: err}
}

var errAnswer = errors.New("hook: an answer that makes no sense")

// dial connects to "host:port" or to the path of a unix socket, and ends the connection
// with ctx.
func dial(ctx context.Context, address string) (net.Conn, func(), error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	return nc, func() { stop(); _ = nc.Close() }, nil // everything was read
}

// Bounds of what a hook may add.
const (
	maxHeader = 64 << 10
	maxFields = 50
)

// appendField appends one header field that a hook made; what would break the header is
// left out.
func appendField(dst []byte, name, value string) []byte {
	if name == "" || len(dst)+len(name)+len(value) > maxHeader {
		return dst
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return dst
		}
	}
	dst = append(append(dst, name...), ": "...)
	for line := range strings.Lines(strings.ReplaceAll(strings.TrimRight(value, "\r\n \t"), "\r\n", "\n")) {
		body := strings.TrimRight(line, "\n")
		if n := len(dst); n > 0 && dst[n-1] == '\n' && (body == "" || body[0] != ' ' && body[0] != '\t') {
			dst = append(dst, '\t') // it goes on: it cannot begin a field
		}
		for i := range len(body) {
			c := body[i]
			if c < ' ' && c != '\t' || c == 0x7f {
				c = ' '
			}
			dst = append(dst, c)
		}
		dst = append(dst, "\r\n"...)
	}
	if value == "" || dst[len(dst)-1] != '\n' {
		dst = append(dst, "\r\n"...)
	}
	return dst
}
