package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// An appender gives messages to IMAP by APPEND with LITERAL+ (RFC 7888 §3), all of
// one command (RFC 3502) in one write.
type appender struct {
	*line
	command []byte
	serials [][]byte // their digits in command
}

func tagged(b []byte) bool { return bytes.HasPrefix(b, []byte("a ")) }
func any1(b []byte) bool   { return true }

func newAppender(l *line, p *peer, user, size, batch int) (*appender, error) {
	if err := l.hear("* OK", any1); err != nil {
		return nil, err
	}
	if err := l.say(fmt.Appendf(nil, "a LOGIN %s %s\r\n", p.user(user), p.password)); err != nil {
		return nil, err
	}
	if err := l.hear("a OK", tagged); err != nil {
		return nil, err
	}
	text, at := message(size, "sender@client.example", p.user(user))
	a := &appender{line: l, command: []byte("a APPEND INBOX")}
	var starts []int
	for range batch {
		a.command = fmt.Appendf(a.command, " {%d+}\r\n", size)
		starts = append(starts, len(a.command)+at)
		a.command = append(a.command, text...)
	}
	a.command = append(a.command, "\r\n"...)
	for _, i := range starts {
		a.serials = append(a.serials, a.command[i:i+serialWidth])
	}
	return a, nil
}

func (a *appender) send(n int64) error {
	for i, b := range a.serials {
		number(b, n+int64(i)*1e6) // a row has fewer sends
	}
	if err := a.say(a.command); err != nil {
		return err
	}
	return a.hear("a OK", tagged)
}

func (a *appender) close() {
	a.say([]byte("a LOGOUT\r\n"))
	a.hear("a OK", tagged)
	a.Close()
}

// A deliverer gives messages to SMTP or LMTP: MAIL, RCPT and DATA in one write,
// the text in a second (RFC 2920 §3.1), one recipient each.
type deliverer struct {
	*line
	envelopes [][]byte // by recipient
	next      int
	text      []byte
	serial    []byte // its digits in text
}

// lastLine reports the last line of a reply, RFC 5321 §4.2.1.
func lastLine(b []byte) bool { return len(b) < 4 || b[3] != '-' }

func newDeliverer(l *line, p *peer, w workload, i, size int) (*deliverer, error) {
	hello := "EHLO client.example\r\n"
	if w.proto == lmtpDeliver {
		hello = "LHLO client.example\r\n"
	}
	if err := l.hear("220", lastLine); err != nil {
		return nil, err
	}
	if err := l.say([]byte(hello)); err != nil {
		return nil, err
	}
	if err := l.hear("250", lastLine); err != nil {
		return nil, err
	}
	from := "sender@" + senderDomain
	if w.proto == relay || w.proto == relayPlain {
		from = p.user(i % maxUsers)
		if err := login(l, p, from); err != nil {
			return nil, err
		}
	}
	d := &deliverer{line: l}
	for k := range w.users() {
		to := p.user((i + k) % maxUsers)
		if w.proto == relay || w.proto == relayPlain {
			to = fmt.Sprintf("to%d@elsewhere.example", k)
		}
		d.envelopes = append(d.envelopes, fmt.Appendf(nil, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, to))
	}
	text, at := message(size, from, p.user(i%maxUsers))
	if w.proto == mxSigned && p.key.Key != nil {
		whole, err := signed(text, p.key)
		if err != nil {
			return nil, err
		}
		text, at = whole, at+len(whole)-len(text)
	}
	d.text = append(text, ".\r\n"...)
	d.serial = d.text[at : at+serialWidth]
	return d, nil
}

// login says who we are, where the server wants to know that.
func login(l *line, p *peer, user string) error {
	if p.password == "" {
		return nil
	}
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + strings.Trim(p.password, `"`)))
	if err := l.say([]byte("AUTH PLAIN " + secret + "\r\n")); err != nil {
		return err
	}
	return l.hear("235", lastLine)
}

func (d *deliverer) send(n int64) error {
	if err := d.say(d.envelopes[d.next]); err != nil {
		return err
	}
	d.next = (d.next + 1) % len(d.envelopes)
	for _, want := range []string{"250", "250", "354"} {
		if err := d.hear(want, lastLine); err != nil {
			return err
		}
	}
	number(d.serial, n)
	if err := d.say(d.text); err != nil {
		return err
	}
	return d.hear("250", lastLine)
}

func (d *deliverer) close() {
	d.say([]byte("QUIT\r\n"))
	d.hear("221", lastLine)
	d.Close()
}
