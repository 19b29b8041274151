// Package hook asks other programs about a message before it is taken: milters
// (protocol version 6, as Sendmail and Postfix speak it), Rspamd over HTTP and ClamAV's
// daemon. Each is asked once, when the whole message is there, and answers within its
// time; what holds if it does not is configured for each (see [Asked]).
//
// A hook sees the message as it will be stored and may refuse it, file it as junk, add
// header fields, and want changes of what is there and of the envelope ([Change],
// [Message.Replace]), which its caller makes. One that wants to answer while the
// envelope comes is a [Talker]: it may refuse one recipient and let the others pass.
//
// What a hook answers is bounded in size and never trusted to end a header field. The
// package holds no state but its configuration.
package hook

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A Message is what hooks are asked about.
type Message struct {
	ID      string     // trace id
	Host    string     // our name
	Remote  netip.Addr // zero: not known
	Name    string     // of Remote, confirmed by DNS; "" if it has none
	Hello   string
	Account string // who logged in
	// AuthType is the SASL mechanism by which it did, or "".
	AuthType string
	TLS      *tls.ConnectionState // of the peer's connection, or nil
	From     mail.Address
	Params   []string // the parameters of MAIL, see MailParams
	To       []mail.Recipient
	// Refused are recipients that did not get it, for those who want to hear of them.
	Refused []Refusal
	Prefix  []byte      // header lines that will stand in front
	Content io.ReaderAt // the rest
	Size    int64       // of Content
	// Replace, if there is one, begins another body; what is written to its result
	// becomes the message's. It is called at most once.
	Replace func() (io.Writer, error)
}

// A Refusal is a recipient that was refused, and what it was told.
type Refusal struct {
	To    mail.Recipient
	Reply mail.Reply
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
	Changes  []Change // in the order in which they are to be made
	Replaced bool     // the body is what was written to what Message.Replace gave
	Hold     bool     // of Junk: what goes to other servers waits until somebody releases it
}

// A ChangeKind says what a Change changes.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangeField     ChangeKind = iota // field Index of those with Name becomes Line
	ChangeSender                      // the reverse-path becomes Address
	AddRecipient                      // Address gets it too
	RemoveRecipient                   // Address does not get it
	InsertField                       // Line stands behind the first Index fields, which are more than Prefix has
)

// A Change is something that a hook wants to be otherwise. Fields are counted in the
// message as the hook saw it.
type Change struct {
	Kind    ChangeKind
	Name    string
	Index   int    // from 1; 0 is all of them, to be taken away
	Line    []byte // the whole field with its line end; none takes it away
	Address mail.Address
	Params  wire.Params // of ChangeSender and AddRecipient, as of MAIL and RCPT
}

// A Hook is one program to ask.
type Hook interface {
	// Ask asks about a message; it honours ctx. An error means that there is no answer.
	Ask(ctx context.Context, m *Message) (Verdict, error)
}

// A Talker is a Hook that may want to answer to the envelope while it comes.
type Talker interface {
	Hook
	// Begin tells who sends and from where: of m what is known before the recipients.
	// It returns nil if the program has nothing to say before the message is there.
	Begin(ctx context.Context, m *Message) (Talk, error)
}

// A Talk is one envelope and its message, told to a Talker as they come. After an error
// it is over. One goroutine at a time uses it.
type Talk interface {
	// Recipient tells one recipient; a reply with a code refuses it.
	Recipient(ctx context.Context, to mail.Recipient) (mail.Reply, error)
	// Refused tells one recipient that others have refused, if the program wants to
	// hear of them; what it says to that does not count.
	Refused(ctx context.Context, r Refusal) error
	// Message tells the rest, and gives the verdict of all.
	Message(ctx context.Context, m *Message) (Verdict, error)
	// Close ends it.
	Close()
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

func (a *Asked) within(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := a.Time
	if limit <= 0 {
		limit = defaultTime
	}
	return context.WithTimeout(ctx, limit)
}

// Begin begins to tell an envelope; nil if the program waits for the message. An error
// leaves it to Ask to tell it all.
func (a *Asked) Begin(ctx context.Context, m *Message) (Talk, error) {
	h, ok := a.Hook.(Talker)
	if !ok {
		return nil, nil
	}
	ctx, cancel := a.within(ctx)
	defer cancel()
	return h.Begin(ctx, m)
}

// Recipient tells one recipient to a talk within the time.
func (a *Asked) Recipient(ctx context.Context, talk Talk, to mail.Recipient) (mail.Reply, error) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	return talk.Recipient(ctx, to)
}

// Refused tells one that was refused to a talk within the time.
func (a *Asked) Refused(ctx context.Context, talk Talk, r Refusal) error {
	ctx, cancel := a.within(ctx)
	defer cancel()
	return talk.Refused(ctx, r)
}

// Ask asks within the time, and makes the verdict of no answer. A talk that was begun
// is brought to its end; if it breaks, the program is told all once more.
func (a *Asked) Ask(ctx context.Context, talk Talk, m *Message) (Verdict, error) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	v, err := a.ask(ctx, talk, m)
	if err == nil {
		return v, nil
	}
	v = Verdict{Findings: []mail.Finding{{Check: a.Name, Result: "temperror", Text: "no answer"}}}
	if !a.Open {
		v.Action, v.Reply = Defer, replyNoAnswer
	}
	return v, &mail.Error{Kind: mail.Unavailable, Op: "hook.Ask", Text: a.Name + " does not answer", Err: err}
}

func (a *Asked) ask(ctx context.Context, talk Talk, m *Message) (Verdict, error) {
	if talk != nil {
		v, err := talk.Message(ctx, m)
		if err == nil || ctx.Err() != nil || errors.Is(err, errReplaced) {
			return v, err
		}
		talk.Close()
	}
	return a.Hook.Ask(ctx, m)
}

var errReplaced = errors.New("hook: it broke off while it sent another body")

var errAnswer = errors.New("hook: an answer that makes no sense")

// dial connects to "host:port" or to the path of a unix socket, and ends the connection
// with ctx.
func dial(ctx context.Context, address string) (net.Conn, func(), error) {
	nc, err := connect(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	stop := bind(ctx, nc)
	return nc, func() { stop(); _ = nc.Close() }, nil // everything was read
}

func connect(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// bind ends what is done on nc with ctx, until stop is called.
func bind(ctx context.Context, nc net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
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
