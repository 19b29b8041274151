package jmap

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
)

// An envelope is that of a submission, RFC 8621 §7.
type envelope struct {
	from mail.Address
	to   []mail.Recipient
	id   string         // ENVID, RFC 3461 §4.4
	full bool           // RET=FULL, RFC 3461 §4.3
	raw  map[string]any // as the client gave it; nil: made of the message
}

func (e *envelope) object() wire.Object {
	if e.raw != nil {
		o := wire.Object{}
		for _, k := range sortedNames(e.raw) {
			o = o.With(k, e.raw[k])
		}
		return o
	}
	to := []wire.Object{}
	for _, r := range e.to {
		to = append(to, wire.Object{{Name: "email", Value: r.Address.String()}, {Name: "parameters", Value: nil}})
	}
	return wire.Object{{Name: "mailFrom", Value: wire.Object{{Name: "email", Value: e.from.String()}, {Name: "parameters", Value: nil}}}, {Name: "rcptTo", Value: to}}
}

// envelope reads the envelope that the client gave, or makes one of the message.
func (s *setter) envelope(e *email, given any, identity values) (*envelope, time.Time, error) {
	now := s.tx.Now()
	m, ok := given.(map[string]any)
	if !ok {
		env, err := s.envelopeOf(e, identity)
		return env, now, err
	}
	env := &envelope{raw: m}
	from := m["mailFrom"].(map[string]any)
	a, valid := addressOf(from)
	if text, _ := from["email"].(string); !valid && text != "" {
		return nil, now, invalidProperties("not an address", "envelope/mailFrom")
	}
	env.from = a.Address
	at, err := s.holdOf(from["parameters"], now)
	if err != nil {
		return nil, now, err
	}
	if !env.setReturn(from["parameters"]) {
		return nil, now, invalidProperties("not what RFC 3461 says", "envelope/mailFrom/parameters")
	}
	var bad []string
	for _, r := range m["rcptTo"].([]any) {
		rm := r.(map[string]any)
		a, valid := addressOf(rm)
		if !valid {
			text, _ := rm["email"].(string)
			bad = append(bad, text)
			continue
		}
		rcpt := mail.Recipient{Address: a.Address}
		if !setNotify(&rcpt, rm["parameters"]) {
			return nil, now, invalidProperties("not a parameter of RCPT that is known", "envelope/rcptTo")
		}
		env.to = append(env.to, rcpt)
	}
	if bad != nil {
		e := unfit("invalidRecipients", "")
		e.extra = wire.Object{{Name: "invalidRecipients", Value: bad}}
		return nil, now, e
	}
	return env, at, nil
}

// holdOf reads FUTURERELEASE among the parameters of MAIL, RFC 4865 §4.
func (s *setter) holdOf(v any, now time.Time) (time.Time, error) {
	params, _ := v.(map[string]any)
	at, holds := now, 0
	for name, val := range params {
		text, _ := val.(string)
		switch strings.ToUpper(name) {
		case "HOLDFOR":
			holds++
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return at, invalidProperties("not a number of seconds", "envelope/mailFrom/parameters")
			}
			at = now.Add(time.Duration(n) * time.Second)
		case "HOLDUNTIL":
			holds++
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return at, invalidProperties("not a time", "envelope/mailFrom/parameters")
			}
			at = t
		case "RET", "ENVID", "BODY", "SIZE", "SMTPUTF8":
		default:
			return at, invalidProperties("an unknown parameter: "+name, "envelope/mailFrom/parameters")
		}
	}
	if holds > 1 { // RFC 4865 §3
		return at, invalidProperties("HOLDFOR and HOLDUNTIL exclude each other", "envelope/mailFrom/parameters")
	}
	if at.Sub(now) > s.limits.MaxDelayedSend {
		return at, invalidProperties("too far ahead", "envelope/mailFrom/parameters")
	}
	if at.Before(now) { // it goes when it is there
		at = now
	}
	return at, nil
}

// envelopeOf makes an envelope of a message's header: from its Sender or From, to all
// that it names.
func (s *setter) envelopeOf(e *email, identity values) (*envelope, error) {
	g := &getter{s.call, &s.tx.View}
	h, err := e.headerOf(g, 0)
	if err != nil {
		return nil, err
	}
	env := &envelope{}
	if env.from, err = senderOf(h); err != nil {
		return nil, err
	}
	text, _ := identity["email"].(string)
	if list := message.ParseAddresses([]byte(text), 1); len(list) == 1 {
		env.from = list[0].Address // also where the message says another, which the identity does not allow
	}
	seen := map[mail.Address]bool{}
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, m := range h.Addresses(name) {
			if !m.Group && m.Address.Domain != "" && !seen[m.Address] {
				seen[m.Address] = true
				env.to = append(env.to, mail.Recipient{Address: m.Address})
			}
		}
	}
	return env, nil
}

// senderOf is who the header says has sent a message: its Sender, or else its From.
func senderOf(h *message.Header) (mail.Address, error) {
	for _, name := range []string{"Sender", "From"} {
		list := slices.DeleteFunc(h.Addresses(name), func(m message.Mailbox) bool { return m.Group })
		switch {
		case len(list) > 1 || h.Count(name) > 1:
			return mail.Address{}, unfit("invalidEmail", "there is more than one "+name).with("properties", []string{strings.ToLower(name)})
		case len(list) == 1:
			return list[0].Address, nil
		}
	}
	return mail.Address{}, nil
}
