package hook

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// heard takes one answer; end says that it is the last to this step.
func (c *milterConn) heard(command byte, data []byte) (end bool, err error) {
	decide := func(a Action, r mail.Reply) (bool, error) {
		if c.to != "" && r.Code != 0 { // one of several: there is one reply, and the sender must know whose it is
			r.Text = "<" + headerSafe(c.to) + ">: " + r.Text + " (and so nobody got this message)"
		}
		c.verdict.Action, c.verdict.Reply, c.done = a, r, true
		word := map[Action]string{Reject: "fail", Defer: "temperror", Discard: "discard"}[a]
		c.verdict.Findings = append(c.verdict.Findings, mail.Finding{Check: c.name, Result: word, Text: r.Text})
		return true, nil
	}
	switch command {
	case 'c': // continue
		return true, nil
	case 'a': // accept
		c.done = true
		return true, nil
	case 's': // skip the rest of the body
		c.verdict.Action = skipBody
		return true, nil
	case 'p': // progress
		return false, nil
	case 'r':
		return decide(Reject, mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "Refused by a filter of this server"})
	case 't':
		return decide(Defer, mail.Reply{Code: 451, Enhanced: [3]uint8{4, 7, 1}, Text: "A filter of this server says: try again later"})
	case 'd':
		return decide(Discard, mail.Reply{})
	case '4', 'f': // it wants the connection gone: what there is of that here is a "later"
		return decide(Defer, mail.Reply{Code: 451, Enhanced: [3]uint8{4, 7, 1}, Text: "A filter of this server ends this; try again later"})
	case 'y':
		r, ok := parseReply(cString(data))
		if !ok {
			return true, errAnswer
		}
		if r.Transient() {
			return decide(Defer, r)
		}
		return decide(Reject, r)
	}
	return false, c.modify(command, data)
}

// extraBody is what a body may grow by beyond twice the message.
const extraBody = 1 << 20

// maxChanges bounds what a milter may want changed in one message.
const maxChanges = 10_000

// modify notes what it wants changed.
func (c *milterConn) modify(command byte, data []byte) error {
	switch command {
	case 'i':
		if len(data) < 4 {
			return errAnswer
		}
		return c.insertField(int(min(binary.BigEndian.Uint32(data), 1<<20)), data[4:])
	case 'h':
		return c.insertField(0, data)
	case 'm':
		return c.changeField(data)
	case 'b':
		return c.replaceBody(data)
	case '+', '2', '-', 'e':
		return c.changeEnvelope(command, data)
	case 'q':
		c.verdict.Action, c.verdict.Hold = Junk, true
		c.verdict.Findings = append(c.verdict.Findings, mail.Finding{Check: c.name, Result: "quarantine", Text: headerSafe(cString(data)), Weight: 5})
		return nil
	}
	return fmt.Errorf("%w: milter command %q", errAnswer, command)
}

// insertField is SMFIR_ADDHEADER and SMFIR_INSHEADER: a field that stands behind so many
// of those that the milter has heard. In front of them all, and up to the end of those
// that are the server's own, it goes where nothing of the message needs to be written
// again.
func (c *milterConn) insertField(index int, data []byte) error {
	name, rest, ok := bytes.Cut(data, []byte{0})
	if !ok {
		return errAnswer
	}
	line := appendField(nil, string(name), strings.TrimPrefix(cString(rest), " "))
	if line == nil {
		return nil // it would break the header
	}
	if index > max(1, c.ours)+c.front {
		return c.change(Change{Kind: InsertField, Name: string(name), Index: index - c.front, Line: line})
	}
	if bytes.Count(c.verdict.Header, []byte("\r\n")) < 10*maxFields {
		c.verdict.Header = append(line, c.verdict.Header...)
		c.front++
	}
	return nil
}

func (c *milterConn) change(ch Change) error {
	if len(c.verdict.Changes) >= maxChanges {
		return fmt.Errorf("%w: too many changes", errAnswer)
	}
	c.verdict.Changes = append(c.verdict.Changes, ch)
	return nil
}

// changeField is SMFIR_CHGHEADER: index, name, value. One without a value goes; one that
// is not there is added.
func (c *milterConn) changeField(data []byte) error {
	if len(data) < 4 {
		return errAnswer
	}
	index := binary.BigEndian.Uint32(data)
	name, rest, ok := bytes.Cut(data[4:], []byte{0})
	if !ok || len(name) == 0 {
		return errAnswer
	}
	ch := Change{Kind: ChangeField, Name: string(name), Index: int(max(1, min(index, 1<<20)))}
	if value := strings.TrimPrefix(cString(rest), " "); value != "" {
		if ch.Line = appendField(nil, ch.Name, value); ch.Line == nil {
			return nil // it would break the header: the field stays
		}
	}
	return c.change(ch)
}

func (c *milterConn) replaceBody(data []byte) error {
	if c.replace == nil {
		return fmt.Errorf("%w: another body, which was not offered", errAnswer)
	}
	if c.room -= int64(len(data)); c.room < 0 {
		return fmt.Errorf("%w: the new body has no end", errAnswer)
	}
	if c.body == nil {
		w, err := c.replace()
		if err != nil {
			return err
		}
		c.body, c.verdict.Replaced = w, true
	}
	_, err := c.body.Write(data)
	return err
}

// changeEnvelope takes an address with ESMTP parameters: in a string of their own, or
// behind the address.
func (c *milterConn) changeEnvelope(command byte, data []byte) error {
	first, rest, _ := bytes.Cut(data, []byte{0})
	text, params := strings.TrimSpace(string(first)), cString(rest)
	if strings.HasPrefix(text, "<") {
		var behind string
		text, behind, _ = strings.Cut(text[1:], ">")
		params += " " + behind
	}
	a, err := wire.ParseAddress(text)
	if err != nil && (command != 'e' || text != "") {
		return fmt.Errorf("%w: %.100q is no address", errAnswer, text)
	}
	ch := Change{Kind: map[byte]ChangeKind{'+': AddRecipient, '2': AddRecipient, '-': RemoveRecipient, 'e': ChangeSender}[command], Address: a}
	if ch.Kind != RemoveRecipient {
		if ch.Params, err = wire.ParseParams(params); err != nil {
			c.verdict.Findings = append(c.verdict.Findings, mail.Finding{Check: c.name, Result: "neutral", Text: "its parameters for " + headerSafe(a.String()) + " are not taken: they make no sense"})
		}
	}
	return c.change(ch)
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// parseReply reads "550 5.7.1 text".
func parseReply(s string) (mail.Reply, bool) {
	s = strings.TrimRight(s, "\r\n")
	var r mail.Reply
	if n, err := fmt.Sscanf(s, "%3d", &r.Code); n != 1 || err != nil || !r.Transient() && !r.Permanent() || len(s) > 2000 {
		return r, false
	}
	r.Text = strings.TrimSpace(s[3:])
	var e [3]uint8
	if n, _ := fmt.Sscanf(r.Text, "%d.%d.%d", &e[0], &e[1], &e[2]); n == 3 && int(e[0]) == r.Code/100 {
		r.Enhanced = e
		_, r.Text, _ = strings.Cut(r.Text, " ")
	}
	r.Text = headerSafe(r.Text)
	if r.Text == "" {
		r.Text = "Refused by a filter of this server"
	}
	return r, true
}
