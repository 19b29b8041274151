package smtpclient

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// window is how many commands are sent ahead of their replies. Replies to so many
// fit into the buffers of any TCP, so that neither side waits for the other to
// read (RFC 2920 §3.1).
const window = 100

// envelope sends MAIL, the RCPTs and DATA: with PIPELINING up to window of them in
// one write, else one by one. On return the accepted recipients are known and, if
// there are any, the server waits for the content.
func (t *transaction) envelope() (stage, error) {
	step, usesData := 1, t.m.Envelope.Body != mail.BodyBinaryMIME
	if t.c.Offers("PIPELINING") {
		step = window
	}
	total := 1 + len(t.live) // MAIL and RCPTs
	for from := 0; from < total; from += step {
		to := min(from+step, total)
		data := to == total && step > 1 && usesData
		if s, err := t.exchange(from, to, data); err != nil {
			return s, err
		}
		if !t.mailOK || t.c.dead {
			return stMail, nil
		}
	}
	if len(t.accepted) > 0 && step == 1 && usesData {
		return t.exchange(total, total, true)
	}
	return stMail, nil
}

// exchange sends the commands from <= i < to, where 0 is MAIL and i is the RCPT of
// live[i-1], and DATA if wanted, and then reads the replies.
func (t *transaction) exchange(from, to int, data bool) (stage, error) {
	c := t.c
	var buf []byte
	for i := from; i < to; i++ {
		var err error
		if i == 0 {
			buf, err = t.appendMail(buf[:0])
		} else {
			buf, err = t.appendRcpt(buf[:0], &t.m.Envelope.Recipients[t.live[i-1]])
		}
		if err != nil {
			return stMail, err
		}
		_, _ = c.w.Write(buf)
	}
	if data {
		_, _ = c.w.WriteString("DATA\r\n")
	}
	if err := c.w.Flush(); err != nil {
		r, err := c.lastWords(stMail, err)
		if err == nil {
			t.decideAll(t.live, t.refusal(stMail, r))
			t.accepted = nil
		}
		return stMail, err
	}
	for i := from; i < to; i++ {
		s := stRcpt
		if i == 0 {
			s = stMail
		}
		r, err := c.reply(s)
		if err != nil {
			return s, err
		}
		t.heard = true
		if i == 0 {
			t.mailReply(r)
		} else {
			t.rcptReply(t.live[i-1], r)
		}
		if c.dead { // 421: no more replies will come
			t.decideAll(t.live, t.refusal(s, r))
			t.accepted = nil
			return s, nil
		}
	}
	if data {
		return t.dataReply()
	}
	return stMail, nil
}

func (t *transaction) mailReply(r mail.Reply) {
	if t.mailOK = r.Positive(); !t.mailOK {
		t.decideAll(t.live, t.refusal(stMail, r))
	}
}

func (t *transaction) rcptReply(i int, r mail.Reply) {
	switch {
	case !t.mailOK:
	case r.Positive():
		t.accepted = append(t.accepted, i)
	default:
		// Old servers say 552 for too many recipients: RFC 5321 §4.5.3.1.10.
		if r.Code == 552 && r.Enhanced == [3]uint8{} && len(t.accepted) > 0 {
			r.Code = 452
		}
		t.decide(i, t.refusal(stRcpt, r))
	}
}

// dataReply reads the answer to DATA. A server that says 354 though it accepted no
// recipient gets an empty message (RFC 2920 §3.1).
func (t *transaction) dataReply() (stage, error) {
	r, err := t.c.reply(stData)
	if err != nil {
		return stData, err
	}
	if r.Code == 354 && len(t.accepted) == 0 {
		_, err := t.c.command(stDone, ".")
		return stDone, err
	}
	if r.Code != 354 {
		t.decideAll(t.accepted, t.refusal(stData, r))
		t.accepted = nil
	}
	return stData, nil
}

// appendMail makes the MAIL command with the parameters that the server knows.
func (t *transaction) appendMail(b []byte) ([]byte, error) {
	c, env := t.c, &t.m.Envelope
	b = append(b, "MAIL FROM:"...)
	if env.ReversePath.IsNull() {
		b = append(b, "<>"...)
	} else {
		var err error
		if b, err = wire.AppendPath(b, env.ReversePath, t.utf8); err != nil {
			return nil, err
		}
	}
	if c.Offers("SIZE") {
		b = strconv.AppendInt(append(b, " SIZE="...), t.m.Size, 10)
	}
	if env.Body == mail.BodyBinaryMIME || env.Body == mail.Body8BitMIME && c.Offers("8BITMIME") {
		b = append(append(b, " BODY="...), wire.BodyWord(env.Body)...)
	}
	if t.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if env.RequireTLS && !env.ReversePath.IsNull() { // RFC 8689 §4.2.1; refuseAll has seen that it is offered
		b = append(b, " REQUIRETLS"...)
	}
	if env.Priority != 0 && c.Offers("MT-PRIORITY") { // RFC 6710 §4.2
		b = strconv.AppendInt(append(b, " MT-PRIORITY="...), int64(env.Priority), 10)
	}
	if !env.DeliverBy.IsZero() && c.Offers("DELIVERBY") {
		b = appendBy(b, env)
	}
	if t.res.DSN {
		if env.ReturnFull {
			b = append(b, " RET=FULL"...)
		}
		if env.EnvID != "" {
			b = wire.AppendXtext(append(b, " ENVID="...), env.EnvID)
		}
	}
	return append(b, '\r', '\n'), nil
}

// appendBy makes the BY parameter for what is left of the time, RFC 2852 §4. Where
// nothing is left of a time in mode R, none is made: the caller gave up on it.
func appendBy(b []byte, env *mail.Envelope) []byte {
	left := time.Until(env.DeliverBy)
	seconds := max(-999_999_999, min(999_999_999, int64(left/time.Second)))
	mode := ";N"
	if env.ByReturn {
		mode = ";R"
		if seconds <= 0 {
			return b
		}
	}
	b = append(strconv.AppendInt(append(b, " BY="...), seconds, 10), mode...)
	if env.ByTrace {
		b = append(b, 'T')
	}
	return b
}

func (t *transaction) appendRcpt(b []byte, r *mail.Recipient) ([]byte, error) {
	b = append(b, "RCPT TO:"...)
	b, err := wire.AppendPath(b, r.Address, t.utf8)
	if err != nil {
		return nil, err
	}
	if t.res.DSN {
		if r.Notify != 0 {
			b = wire.AppendNotify(append(b, " NOTIFY="...), r.Notify)
		}
		if r.Original != "" {
			b = wire.AppendORCPT(append(b, " ORCPT="...), r.Original, t.utf8)
		}
	}
	return append(b, '\r', '\n'), nil
}

// blocks are the buffers between content and encoder.
var blocks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// errContent wraps a failure to read our own content.
type errContent struct{ err error }

func (e errContent) Error() string { return "reading the message: " + e.err.Error() }
func (e errContent) Unwrap() error { return e.err }

// content sends the message and reads the verdict, or with LMTP the verdicts.
func (t *transaction) content() (stage, error) {
	err := t.writeContent()
	var own errContent
	if errors.As(err, &own) {
		// The end of the data was not sent: the server must not take what it has.
		r := mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 0}, Text: "the message cannot be read here"}
		t.decideAll(t.accepted, Outcome{Reply: r})
		t.res.Err = err
		return stContent, nil
	}
	if err != nil {
		r, err := t.c.lastWords(stDone, err)
		if err == nil {
			t.decideAll(t.accepted, t.refusal(stDone, r))
		}
		return stContent, err
	}
	if t.c.target.Mode == LMTP && t.m.Envelope.Body != mail.BodyBinaryMIME {
		for _, i := range t.accepted {
			if err := t.verdict([]int{i}); err != nil {
				return stDone, err
			}
		}
	} else if err := t.verdict(t.accepted); err != nil {
		return stDone, err
	}
	t.c.dirty = false
	return stDone, nil
}

// verdict reads the answer to the end of the data, for the recipients idx.
func (t *transaction) verdict(idx []int) error {
	r, err := t.c.reply(stDone)
	if err != nil {
		return err
	}
	if r.Positive() {
		t.decideAll(idx, Outcome{Reply: r, Remote: true})
	} else {
		t.decideAll(idx, t.refusal(stDone, r))
	}
	return nil
}

// writeContent writes all of the content and its end.
func (t *transaction) writeContent() error {
	block := blocks.Get().(*[32 << 10]byte)
	defer blocks.Put(block)
	var dst io.Writer = t.c.w
	var end func() error
	if t.m.Envelope.Body == mail.BodyBinaryMIME {
		fmt.Fprintf(t.c.w, "BDAT %d LAST\r\n", t.m.Size) // RFC 3030 §2
		end = t.c.w.Flush
	} else {
		d := wire.NewDataWriter(t.c.w)
		dst, end = d, d.Close
	}
	var sent int64
	for {
		n, err := t.m.Content.Read(block[:])
		sent += int64(n)
		if sent > t.m.Size {
			return errContent{errors.New("longer than announced")}
		}
		last := sent == t.m.Size && t.m.Envelope.Body == mail.BodyBinaryMIME
		t.ended = t.ended || last // the last octet ends a BDAT
		if _, werr := dst.Write(block[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return errContent{err}
		}
	}
	if sent != t.m.Size {
		return errContent{io.ErrUnexpectedEOF}
	}
	t.ended = true
	return end()
}
