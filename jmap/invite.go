package jmap

import (
	"io"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/ical"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// inviteStructs are the named types of the property invite.
var inviteStructs = wire.Structs{
	"Invite": {Name: "Invite", Members: []wire.Field{{Name: "method", Type: "String"}, {Name: "uid", Type: "String"}, {Name: "sequence", Type: "UnsignedInt"},
		{Name: "recurrenceId", Type: "String|null"}, {Name: "recurrence", Type: "String|null"}, {Name: "summary", Type: "String"}, {Name: "description", Type: "String"}, {Name: "location", Type: "String"},
		{Name: "status", Type: "String|null"}, {Name: "url", Type: "String|null"}, {Name: "stamp", Type: "UTCDate|null"}, {Name: "start", Type: "InviteTime|null"}, {Name: "end", Type: "InviteTime|null"},
		{Name: "organizer", Type: "InvitePerson|null"}, {Name: "attendees", Type: "InvitePerson[]"}, {Name: "me", Type: "String|null"}, {Name: "answer", Type: "String|null"}}},
	"InviteTime":   {Name: "InviteTime", Members: []wire.Field{{Name: "local", Type: "String"}, {Name: "timeZone", Type: "String|null"}, {Name: "isAllDay", Type: "Boolean"}, {Name: "utc", Type: "UTCDate|null"}}},
	"InvitePerson": {Name: "InvitePerson", Members: []wire.Field{{Name: "name", Type: "String|null"}, {Name: "email", Type: "String|null"}, {Name: "status", Type: "String"}, {Name: "role", Type: "String"}, {Name: "rsvp", Type: "Boolean"}}},
}

// answers are those to an invitation: the word of the client, the keyword that the
// message gets, and what is sent.
var answers = []struct{ name, keyword, status string }{
	{"accepted", "$rsvp-accepted", ical.Accepted}, {"tentative", "$rsvp-tentative", ical.Tentative}, {"declined", "$rsvp-declined", ical.Declined},
}

// calendarBytes is how much of a calendar is read.
const calendarBytes = 1 << 20

// inviteOf reads the calendar part of a message; nil if it has none.
func (c *call) inviteOf(e *email) (*ical.Invite, error) {
	m, err := e.message()
	if err != nil {
		return nil, err
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Type != "text" || p.Subtype != "calendar" {
			continue
		}
		r, closer, err := e.decoded(i)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(r, calendarBytes))
		if cerr := closer.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
		if inv, ok := ical.Parse([]byte(message.DecodeText(p.Charset(), data)), ical.Limits{Bytes: calendarBytes}); ok {
			if method := p.Param("method"); inv.Method == "" {
				inv.Method = strings.ToUpper(method)
			}
			return &inv, nil
		}
	}
	return nil, nil
}

// inviteProperty is the vendor property "invite" of Email.
func inviteProperty() property {
	return property{name: "invite", typ: "Invite|null", mode: serverSet | immutable | onRequest, get: ofEmail(func(g *getter, e *email) (any, error) {
		inv, err := g.inviteOf(e)
		if err != nil || inv == nil {
			return nil, err
		}
		me, err := g.invited(inv)
		if err != nil {
			return nil, err
		}
		var answer any
		for _, a := range answers {
			if e.keywords[a.keyword] {
				answer = a.name
			}
		}
		var stamp, organizer any
		if !inv.Stamp.IsZero() {
			stamp = utcDate(inv.Stamp.Unix())
		}
		if inv.Organizer.Email != "" {
			organizer = personObject(inv.Organizer)
		}
		people := []wire.Object{}
		for _, p := range inv.Attendees {
			people = append(people, personObject(p))
		}
		return wire.Object{{Name: "method", Value: inv.Method}, {Name: "uid", Value: inv.UID}, {Name: "sequence", Value: max(0, inv.Sequence)}, {Name: "recurrenceId", Value: textOrNull(inv.RecurrenceID)},
			{Name: "recurrence", Value: textOrNull(inv.Recurrence)}, {Name: "summary", Value: inv.Summary}, {Name: "description", Value: inv.Description}, {Name: "location", Value: inv.Location},
			{Name: "status", Value: textOrNull(inv.Status)}, {Name: "url", Value: textOrNull(inv.URL)}, {Name: "stamp", Value: stamp}, {Name: "start", Value: momentObject(inv.Start)}, {Name: "end", Value: momentObject(inv.End)},
			{Name: "organizer", Value: organizer}, {Name: "attendees", Value: people}, {Name: "me", Value: textOrNull(me.Email)}, {Name: "answer", Value: answer}}, nil
	})}
}

func personObject(p ical.Person) wire.Object {
	return wire.Object{{Name: "name", Value: textOrNull(p.Name)}, {Name: "email", Value: textOrNull(p.Email)}, {Name: "status", Value: strings.ToLower(p.Status)},
		{Name: "role", Value: strings.ToLower(p.Role)}, {Name: "rsvp", Value: p.RSVP}}
}

func momentObject(m ical.Moment) any {
	if m.Local == "" {
		return nil
	}
	var utc any
	if !m.Instant.IsZero() {
		utc = m.Instant.UTC().Format(time.RFC3339)
	}
	return wire.Object{{Name: "local", Value: m.Local}, {Name: "timeZone", Value: textOrNull(m.Zone)}, {Name: "isAllDay", Value: m.AllDay}, {Name: "utc", Value: utc}}
}

// owner is whose account it is; zero if it is somebody else's as whom the user may not send.
func (c *call) owner() (directory.Account, error) {
	if !c.acct.shared {
		return c.who.account, nil
	}
	if ok, err := c.sendsFor(c.ctx, c.who, c.acct.ID()); err != nil || !ok {
		return directory.Account{}, err
	}
	return c.opts.Directory.Account(c.ctx, c.acct.ID())
}

// invited is the attendee that the account is; zero if it is none of the first hundred,
// or the user may not answer for it.
func (c *call) invited(inv *ical.Invite) (ical.Person, error) {
	owner, err := c.owner()
	if err != nil || owner.ID == 0 {
		return ical.Person{}, err
	}
	own := owner.Address.String()
	for _, p := range inv.Attendees {
		if strings.EqualFold(p.Email, own) {
			return p, nil
		}
	}
	for _, p := range inv.Attendees[:min(len(inv.Attendees), 100)] {
		if ok, err := c.maySendAs(p.Email); err != nil || ok {
			return p, err
		}
	}
	return ical.Person{}, nil
}

// replyMethod is Invite/reply of the vendor capability: the answer to an invitation, as
// mail to its organizer (iMIP, RFC 6047 §2).
func replyMethod() *method {
	return &method{name: "Invite/reply", capability: capPosthouse, args: []wire.Field{{Name: "emailId", Type: "Id"}, {Name: "answer", Type: "String"}, {Name: "comment?", Type: "String"}}, sends: true, do: replyToInvite}
}

func replyToInvite(c *call) (wire.Object, error) {
	answer := -1
	for i, a := range answers {
		if a.name == c.str("answer") {
			answer = i
		}
	}
	comment := c.str("comment")
	if answer < 0 || len(comment) > 16<<10 {
		return nil, invalidArguments("the answer is accepted, tentative or declined, with a short comment")
	}
	if c.opts.Delivery == nil {
		return nil, refused("serverUnavailable", "this server sends nothing")
	}
	var e *email
	if err := c.view(func(v *store.View) error {
		n, ok := parseEmailID(c.req.idOf(c.str("emailId")))
		if !ok {
			return nil
		}
		r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
		var err error
		e, err = c.loadEmail(&r, n)
		return err
	}); err != nil {
		return nil, err
	}
	if e == nil {
		return nil, refused("notFound", "there is no such email")
	}
	inv, err := c.inviteOf(e)
	if err != nil {
		return nil, err
	}
	if inv == nil || inv.Method != "REQUEST" || inv.UID == "" {
		return nil, refused("notPossible", "this is no invitation")
	}
	me, err := c.invited(inv)
	if err != nil {
		return nil, err
	}
	to, ok := addressOf(map[string]any{"email": inv.Organizer.Email})
	from, okFrom := addressOf(map[string]any{"email": me.Email})
	if !ok || !okFrom {
		return nil, refused("notPossible", "it does not say who invites whom")
	}
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	if me.Name == "" {
		me.Name = owner.Name
	}
	if own := owner.Address; strings.EqualFold(own.String(), me.Email) {
		from.Address = own // as we spell it
	}
	from.Name, to.Name = me.Name, inv.Organizer.Name
	content, err := c.buildReply(inv, me, answer, comment, from, to)
	if err != nil {
		return nil, err
	}
	err = c.sendOwn(content, from.Address, to.Address, func(tx *store.Tx) error {
		for i, a := range answers {
			op := store.FlagsRemove
			if i == answer {
				op = store.FlagsAdd
			}
			if _, err := tx.SetEmailFlags(e.id, store.FlagChange{Op: op, Flags: []mail.Flag{mail.Flag(a.keyword)}}); err != nil {
				return err
			}
		}
		return nil
	})
	if se, ok := asSetError(err); ok && err != nil {
		return nil, refused(se.kind, se.text)
	}
	return c.head().With("answer", answers[answer].name), err
}

// answerSubjects begin the subject of an answer.
var answerSubjects = []string{"Accepted: ", "Tentative: ", "Declined: "}

// buildReply writes the message: words for people, and the calendar.
func (c *call) buildReply(inv *ical.Invite, me ical.Person, answer int, comment string, from, to message.Mailbox) ([]byte, error) {
	now := c.opts.Now()
	boundary, err := message.NewBoundary(c.opts.Rand)
	if err != nil {
		return nil, err
	}
	id, err := message.NewMessageID(c.opts.Rand, now, string(from.Address.Domain))
	if err != nil {
		return nil, err
	}
	subject := answerSubjects[answer] + strings.Join(strings.Fields(inv.Summary), " ")
	words := subject + "\n"
	if comment != "" {
		words += "\n" + comment + "\n"
	}
	calendar := message.Data("text/calendar", inv.Reply(me, answers[answer].status, comment, now), message.Param{Name: "method", Value: "REPLY"}, message.Param{Name: "charset", Value: "utf-8"})
	m := message.Multipart("alternative", boundary, []*message.Entity{message.Text("plain", words), calendar})
	m.SetAddresses("From", from).SetAddresses("To", to).Set("Subject", subject).SetDate("Date", now).SetRaw("Message-ID", id)
	return m.Append(nil), nil
}

// sendOwn sends a message that the server wrote for the account, in one commit with
// beside. A setError says that it is not sent.
func (c *call) sendOwn(content []byte, from, to mail.Address, beside func(tx *store.Tx) error) error {
	t := c.opts.Delivery.Begin(c.deliverySession(), mail.Envelope{ReversePath: from, TraceID: c.ids.Next(c.opts.Now()), Body: mail.Body8BitMIME, Size: int64(len(content)), Account: c.who.account.ID,
		UTF8: !to.IsASCII() || !from.IsASCII()})
	defer t.Close()
	if r := t.Sender(c.ctx); !r.Positive() {
		return ownRefused(r)
	}
	if r := t.Recipient(c.ctx, mail.Recipient{Address: to, Notify: mail.NotifyNever}); !r.Positive() {
		return ownRefused(r)
	}
	if r := t.Open(c.ctx); r.Code != 0 {
		return ownRefused(r)
	}
	if _, err := t.Write(content); err != nil {
		return err
	}
	var failed error
	t.Beside.Account, t.Beside.Do = c.acct.ID(), func(tx *store.Tx) error {
		failed = c.acting(tx, func() error { return beside(tx) })
		return failed
	}
	r := t.Accept(c.ctx)
	if failed != nil {
		return failed
	}
	if !r.Positive() {
		return ownRefused(r)
	}
	return nil
}

func ownRefused(r mail.Reply) error {
	if r.Permanent() {
		return unfit("forbidden", r.Text)
	}
	return unfit("rateLimit", r.Text)
}
