package main

import (
	"bytes"
	"fmt"
)

// An appender gives messages to IMAP, each by one APPEND with a LITERAL+ (RFC
// 7888 §3) in one write.
type appender struct {
	*line
	command []byte
	serial  []byte // its digits in command
}

func tagged(b []byte) bool { return bytes.HasPrefix(b, []byte("a ")) }
func any1(b []byte) bool   { return true }

func newAppender(l *line, user, password string, size int) (*appender, error) {
	if err := l.hear("* OK", any1); err != nil {
		return nil, err
	}
	if err := l.say(fmt.Appendf(nil, "a LOGIN %s %s\r\n", user, password)); err != nil {
		return nil, err
	}
	if err := l.hear("a OK", tagged); err != nil {
		return nil, err
	}
	text, at := message(size, "sender@client.example", user)
	a := &appender{line: l, command: fmt.Appendf(nil, "a APPEND INBOX {%d+}\r\n", size)}
	at += len(a.command)
	a.command = append(append(a.command, text...), "\r\n"...)
	a.serial = a.command[at : at+serialWidth]
	return a, nil
}

func (a *appender) send(n int64) error {
	number(a.serial, n)
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
	d := &deliverer{line: l}
	for k := range w.users() {
		to := p.user((i + k) % maxUsers)
		d.envelopes = append(d.envelopes, fmt.Appendf(nil, "MAIL FROM:<sender@client.example>\r\nRCPT TO:<%s>\r\nDATA\r\n", to))
	}
	text, at := message(size, "sender@client.example", p.user(i%maxUsers))
	d.text = append(text, ".\r\n"...)
	d.serial = d.text[at : at+serialWidth]
	return d, nil
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
