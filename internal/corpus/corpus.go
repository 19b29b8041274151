// Package corpus makes mail: the two mailboxes of `posthouse demo`, random
// messages for benchmarks, and the hard cases that must come through every door
// unchanged. All of it is deterministic: the same arguments give the same bytes.
// The people, companies and addresses are invented; every domain ends in a name
// that RFC 2606 §2 keeps free, and no message refers to a host that could answer.
package corpus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/message"
)

// The people of the demo. Their password is DemoPassword.
const (
	Ada          = "ada@demo.test"
	Ben          = "ben@demo.test"
	DemoPassword = "demo"
)

// An Item is a message in its place.
type Item struct {
	Account string // Ada or Ben
	Mailbox string // "INBOX", "Sent", "Projects/Posthouse" …
	Flags   []mail.Flag
	Date    time.Time // when it arrived: INTERNALDATE
	Raw     []byte    // the message, with CRLF line ends where it is well made
}

// Demo returns the mail of the demo, oldest first: well over 175 messages of the
// weeks before now. Mailboxes beside INBOX are to be created as they are named.
func Demo(now time.Time) []Item {
	g := newGenerator(now)
	g.conversations()
	g.newsletters()
	g.files()
	g.languages()
	g.lists()
	g.reports()
	g.broken()
	g.ordinary()
	slices.SortStableFunc(g.items, func(a, b Item) int { return a.Date.Compare(b.Date) })
	return g.items
}

// A generator collects the items.
type generator struct {
	now   time.Time
	rnd   *rand.Rand
	src   *rand.ChaCha8
	items []Item
	ids   int
}

func newGenerator(now time.Time) *generator {
	seed := [32]byte{'p', 'o', 's', 't', 'h', 'o', 'u', 's', 'e'}
	return &generator{now: now.Truncate(time.Second), src: rand.NewChaCha8(seed), rnd: rand.New(rand.NewPCG(7, 11))}
}

// ago returns the time so many hours before now.
func (g *generator) ago(hours float64) time.Time {
	return g.now.Add(-time.Duration(hours * float64(time.Hour))).Truncate(time.Second)
}

// add files a message.
func (g *generator) add(account, mailbox string, at time.Time, raw []byte, flags ...mail.Flag) {
	g.items = append(g.items, Item{Account: account, Mailbox: mailbox, Flags: flags, Date: at, Raw: raw})
}

// id makes a msg-id of the given domain.
func (g *generator) id(domain string) string {
	g.ids++
	return fmt.Sprintf("<%d.%08x@%s>", 1000+g.ids, g.rnd.Uint32(), domain)
}

func (g *generator) boundary() string {
	b, err := message.NewBoundary(g.src)
	if err != nil { // a ChaCha8 does not fail
		return fmt.Sprintf("=_%016x", g.rnd.Uint64())
	}
	return b
}

func (g *generator) multipart(subtype string, parts ...*message.Entity) *message.Entity {
	return message.Multipart(subtype, g.boundary(), parts)
}

// A letter is what most messages have in common.
type letter struct {
	from, to, cc string // "Name <user@host>", comma separated
	subject      string
	at           time.Time
	id           string   // made if empty
	refs         []string // the thread so far, oldest first
	extra        []string // further fields, "Name: value"
	body         *message.Entity
}

// build writes the message. Mail from outside of demo.test has the trace fields of
// its way.
func (g *generator) build(l *letter) []byte {
	if l.id == "" {
		l.id = g.id(domainOf(l.from))
	}
	e := l.body
	e.SetAddresses("From", mailboxes(l.from)...)
	if l.to != "" {
		e.SetAddresses("To", mailboxes(l.to)...)
	}
	if l.cc != "" {
		e.SetAddresses("Cc", mailboxes(l.cc)...)
	}
	e.Set("Subject", l.subject)
	e.SetDate("Date", l.at)
	e.SetRaw("Message-ID", l.id)
	if n := len(l.refs); n > 0 {
		e.SetRaw("In-Reply-To", l.refs[n-1])
		e.SetRaw("References", strings.Join(l.refs, " "))
	}
	for _, x := range l.extra {
		name, value, _ := strings.Cut(x, ": ")
		e.Set(name, value)
	}
	return append(g.trace(l), e.Append(nil)...)
}

// trace writes Return-Path and Received for a message that came from outside.
func (g *generator) trace(l *letter) []byte {
	domain := domainOf(l.from)
	if domain == "demo.test" {
		return nil
	}
	from := mailboxes(l.from)[0].Address.String()
	return fmt.Appendf(nil, "Return-Path: <%s>\r\nReceived: from mail.%s (mail.%s [192.0.2.%d])\r\n"+
		"\tby mx.demo.test (Posthouse) with ESMTPS id %08x;\r\n\t%s\r\n", from, domain, domain,
		1+g.rnd.IntN(250), g.rnd.Uint32(), l.at.Format(time.RFC1123Z))
}

// deliver files a letter: with its sender if that is one of ours, and with those
// of ours that it is for.
func (g *generator) deliver(l letter, mailbox string, flags ...mail.Flag) {
	raw := g.build(&l)
	for _, account := range []string{Ada, Ben} {
		switch {
		case strings.Contains(l.from, account):
			g.add(account, "Sent", l.at, raw, mail.FlagSeen)
		case strings.Contains(l.to+l.cc, account):
			g.add(account, mailbox, l.at, raw, flags...)
		}
	}
}

func mailboxes(list string) []message.Mailbox { return message.ParseAddresses([]byte(list), 0) }

func domainOf(from string) string {
	if list := mailboxes(from); len(list) > 0 {
		return string(list[0].Address.Domain)
	}
	return "demo.test"
}

// text returns a text/plain part.
func text(s string) *message.Entity { return message.Text("plain", s) }

// Flags that the demo uses beside the system flags.
const (
	flagForwarded mail.Flag = "$Forwarded"
	flagJunk      mail.Flag = "$Junk"
	flagTravel    mail.Flag = "travel"
	flagWork      mail.Flag = "work"
)
