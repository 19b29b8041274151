package queue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/smtp/wire"
)

// report makes the DSN (RFC 3464) for what is owed to the sender and has it stored
// in one commit with the entry's change.
func (q *Queue) report(e *entry, rep report, now time.Time) error {
	q.mu.Lock()
	inj := q.inject
	q.mu.Unlock()
	if inj == nil {
		return failure(mail.Unavailable, "report", "the queue is not started", nil)
	}
	ctx := context.WithoutCancel(q.ctx)
	d := dsn{q: q, e: e, rep: rep, now: now, global: e.rec.env.UTF8}
	content, err := d.build(ctx)
	if err != nil {
		return err
	}
	sender := e.rec.env.ReversePath
	env := mail.Envelope{
		Recipients: []mail.Recipient{{Address: sender, Notify: mail.NotifyNever}},
		UTF8:       d.global || wire.NeedsUTF8(sender),
		TraceID:    e.rec.env.TraceID + "-dsn",
	}
	if eightBit(content) {
		env.Body = mail.Body8BitMIME
	}
	return inj.Inject(ctx, env, content, e.batch())
}

func eightBit(b []byte) bool {
	return slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
}

// A dsn is a delivery status notification in the making.
type dsn struct {
	q      *Queue
	e      *entry
	rep    report
	now    time.Time
	global bool // RFC 6533: the sender can read UTF-8 in headers
}

func (d *dsn) build(ctx context.Context) ([]byte, error) {
	original := d.original(ctx)
	random := entropy(d.q.opts.Rand)
	boundary, err := message.NewBoundary(random)
	if err != nil {
		return nil, err
	}
	id, err := message.NewMessageID(random, d.now, d.q.opts.Hostname)
	if err != nil {
		return nil, err
	}
	status := "message/delivery-status"
	if d.global {
		status = "message/global-delivery-status"
	}
	fields := d.fields()
	parts := []*message.Entity{
		message.Text("plain", d.text()).Set("Content-Description", "Notification"),
		message.Raw(status, encodingOf(fields), fields).Set("Content-Description", "Delivery report"),
		original.part,
	}
	m := message.Multipart("report", boundary, parts, message.Param{Name: "report-type", Value: "delivery-status"})
	m.SetAddresses("From", message.Mailbox{Name: "Mail Delivery System", Address: mail.Address{Local: "MAILER-DAEMON", Domain: mail.Domain(d.q.opts.Hostname)}})
	m.SetAddresses("To", message.Mailbox{Address: d.sender()})
	m.Set("Subject", d.subject())
	m.SetDate("Date", d.now)
	m.SetRaw("Message-ID", id)
	if original.id != "" {
		m.SetRaw("In-Reply-To", original.id)
		m.SetRaw("References", original.id)
	}
	m.SetRaw("Auto-Submitted", "auto-replied") // RFC 3834 §5
	return m.Append(nil), nil
}

// sender is the reverse-path as the header may have it: with A-labels, unless it
// needs SMTPUTF8 anyway.
func (d *dsn) sender() mail.Address {
	a := d.e.rec.env.ReversePath
	if ascii, err := wire.DomainToASCII(a.Domain); err == nil && !d.global && !wire.NeedsUTF8(a) {
		a.Domain = mail.Domain(ascii)
	}
	return a
}

// entropy reads random bytes from the queue's source.
type entropy func() float64

func (r entropy) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r() * 256)
	}
	return len(p), nil
}

func encodingOf(b []byte) string {
	if eightBit(b) {
		return "8bit"
	}
	return "7bit"
}

// A returned is what goes back of the message, and its Message-ID.
type returned struct {
	part *message.Entity
	id   string
}

// maxReturnedHeader bounds the headers that go back.
const maxReturnedHeader = 64 << 10

// original returns the headers of the message, or the whole of it if the sender
// wants that (RET=FULL) and it failed. That it cannot be read does not keep the
// sender from being told.
func (d *dsn) original(ctx context.Context) returned {
	body, full, err := d.bytes(ctx)
	if err != nil {
		d.q.opts.Logger.Error("queue: cannot read a message", "tid", d.e.rec.env.TraceID, "id", d.e.it.id, "err", err)
	}
	mediaType := "text/rfc822-headers"
	switch {
	case full && d.global:
		mediaType = "message/global"
	case full:
		mediaType = "message/rfc822"
	case d.global:
		mediaType = "message/global-headers"
	}
	r := returned{part: message.Raw(mediaType, encodingOf(body), body).Set("Content-Description", "Undelivered message")}
	h := message.ParseHeader(body, message.Limits{})
	if ids := message.AppendMessageIDs(nil, h.RawValue("Message-ID"), 1); len(ids) > 0 && isPrintable(ids[0]) {
		r.id = "<" + ids[0] + ">"
	}
	return r
}

func (d *dsn) bytes(ctx context.Context) (b []byte, full bool, err error) {
	c, err := d.e.open(ctx)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	size := int64(len(c.prefix)) + c.blob.Size()
	whole := d.e.rec.env.ReturnFull && d.e.rec.env.Body != mail.BodyBinaryMIME && len(d.rep.failed) > 0
	if whole && size <= d.q.set().Limits.ReturnedBytes {
		b, err = io.ReadAll(c.reader())
		return b, err == nil, err
	}
	b, err = c.header(maxReturnedHeader)
	return b, false, err
}

// isPrintable: printable ASCII without spaces.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (d *dsn) subject() string {
	switch {
	case len(d.rep.failed) > 0:
		return "Undelivered Mail Returned to Sender"
	case len(d.rep.delayed) > 0:
		return "Delayed Mail (still being tried)"
	}
	return "Successful Mail Delivery Report"
}

// text is the part for people.
func (d *dsn) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail server %s.\n", d.q.opts.Hostname)
	if len(d.rep.failed) > 0 {
		b.WriteString("\nYour message could not be delivered to the following recipients.\nIt will not be tried again.\n")
		d.list(&b, d.rep.failed)
	}
	if len(d.rep.delayed) > 0 {
		fmt.Fprintf(&b, "\nYour message has not been delivered yet to the following recipients.\n"+
			"It will be tried until %s.\nYou need not send it again.\n", d.until().UTC().Format("2 January 2006, 15:04 MST"))
		d.list(&b, d.rep.delayed)
	}
	if len(d.rep.relayed) > 0 {
		b.WriteString("\nYour message was handed over for the following recipients, to a server\nthat may not report its delivery.\n")
		d.list(&b, d.rep.relayed)
	}
	b.WriteString("\nWhat follows is a report for mail programs, and the message or its headers.\n")
	return b.String()
}

func (d *dsn) list(b *strings.Builder, idx []int) {
	for _, i := range idx {
		rs := &d.e.st.rcpts[i]
		fmt.Fprintf(b, "\n  %s\n", d.e.rec.env.Recipients[i].Address)
		if rs.status == stExpired {
			fmt.Fprintf(b, "    It was tried for %s. The last problem was:\n", days(d.now.Sub(d.e.rec.born()).Round(time.Minute)))
		}
		reply := strings.ReplaceAll(rs.reply.String(), "\n", "\n    ")
		if rs.remote {
			fmt.Fprintf(b, "    The server %s said:\n    %s\n", rs.host, reply)
		} else if rs.reply.Text != "" {
			fmt.Fprintf(b, "    %s\n", strings.ReplaceAll(rs.reply.Text, "\n", "\n    "))
		}
	}
}

func days(t time.Duration) string {
	if t >= 48*time.Hour {
		return fmt.Sprintf("%d days", t/(24*time.Hour))
	}
	return t.String()
}

func (d *dsn) until() time.Time { return d.e.until() }

const dateFormat = "Mon, 2 Jan 2006 15:04:05 -0700"

// fields is the part for programs: RFC 3464 §2.
func (d *dsn) fields() []byte {
	env := &d.e.rec.env
	var b bytes.Buffer
	field(&b, "Reporting-MTA", "dns; "+d.q.opts.Hostname)
	if env.EnvID != "" {
		field(&b, "Original-Envelope-Id", env.EnvID)
	}
	field(&b, "Arrival-Date", d.e.rec.created.Format(dateFormat))
	if !env.DeliverBy.IsZero() { // RFC 2852 §5
		field(&b, "Deliver-By-Date", env.DeliverBy.Format(dateFormat))
	}
	for _, g := range []struct {
		idx    []int
		action string
	}{{d.rep.failed, "failed"}, {d.rep.delayed, "delayed"}, {d.rep.relayed, "relayed"}} {
		for _, i := range g.idx {
			b.WriteString("\r\n")
			d.recipient(&b, i, g.action)
		}
	}
	if !d.global { // RFC 3464 §2: US-ASCII
		return bytes.Map(func(r rune) rune {
			if r > '~' {
				return '?'
			}
			return r
		}, b.Bytes())
	}
	return b.Bytes()
}

// recipient writes the fields of one recipient, RFC 3464 §2.3.
func (d *dsn) recipient(b *bytes.Buffer, i int, action string) {
	r, rs := &d.e.rec.env.Recipients[i], &d.e.st.rcpts[i]
	if r.Original != "" {
		field(b, "Original-Recipient", d.typed(r.Original))
	}
	field(b, "Final-Recipient", d.typed(addressType(r.Address)))
	field(b, "Action", action)
	field(b, "Status", d.status(rs))
	if rs.remote {
		name, _, _ := strings.Cut(rs.host, "[")
		field(b, "Remote-MTA", "dns; "+name)
		field(b, "Diagnostic-Code", "smtp; "+rs.reply.String())
	} else if rs.reply.Text != "" {
		field(b, "Diagnostic-Code", "X-Posthouse; "+rs.reply.String())
	}
	if rs.at != 0 {
		field(b, "Last-Attempt-Date", time.Unix(0, rs.at).In(d.now.Location()).Format(dateFormat))
	}
	if action == "delayed" {
		field(b, "Will-Retry-Until", d.until().Format(dateFormat))
	}
}

// addressType spells an address as "type;address", RFC 6533 §3.
func addressType(a mail.Address) string {
	if wire.NeedsUTF8(a) {
		return "utf-8;" + a.String()
	}
	p, err := wire.AppendPath(nil, a, false)
	if err != nil {
		return "utf-8;" + a.String()
	}
	return "rfc822;" + strings.Trim(string(p), "<>")
}

// typed writes "type;address" as DSN fields have it. UTF-8 is escaped where the
// report is not global.
func (d *dsn) typed(s string) string {
	typ, addr, _ := strings.Cut(s, ";")
	if !d.global && eightBit([]byte(addr)) {
		_, addr, _ = strings.Cut(string(wire.AppendORCPT(nil, "utf-8;"+addr, false)), ";")
		typ = "utf-8"
	}
	return typ + "; " + addr
}

// status is the Status field; what DELIVERBY ended has its own, RFC 2852 §4.1.3.
func (d *dsn) status(rs *rcptState) string {
	late := !d.e.rec.env.DeliverBy.IsZero() && !d.now.Before(d.e.rec.env.DeliverBy)
	switch {
	case rs.status == stExpired && late && d.e.rec.env.ByReturn:
		return "5.4.7"
	case rs.status == stWaiting && late:
		return "4.4.7"
	}
	return statusOf(rs)
}

// statusOf is the Status field. A status that the server did not give is made of
// the code.
func statusOf(rs *rcptState) string {
	code := rs.reply.Enhanced
	class := uint8(rs.reply.Code / 100)
	switch rs.status {
	case stExpired:
		return "4.4.7"
	case stDelivered, stRelayed:
		class = 2
	case stFailed:
		class = 5
	case stWaiting:
		class = 4
	}
	if code[0] != class {
		code = [3]uint8{class, 0, 0}
	}
	return string(wire.AppendEnhanced(nil, code))
}

// maxFieldLine is where a field is folded.
const maxFieldLine = 76

// field writes a field on one line, folded at spaces. Line ends and control
// characters in the value, which may be a stranger's words, become spaces.
func field(b *bytes.Buffer, name, value string) {
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, value)
	b.WriteString(name + ":")
	col := len(name) + 1
	for word := range strings.FieldsSeq(value) {
		if col+1+len(word) > maxFieldLine && col > len(name)+1 {
			b.WriteString("\r\n")
			col = 0
		}
		for len(word) > maxWord {
			b.WriteString(" " + word[:maxWord] + "\r\n")
			word, col = word[maxWord:], 0
		}
		b.WriteString(" " + word)
		col += 1 + len(word)
	}
	b.WriteString("\r\n")
}

// maxWord keeps a line within the 998 octets of RFC 5322 §2.1.1.
const maxWord = 900
