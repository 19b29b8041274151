package jmap

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// An email is what the properties of Email are read from: what the mailboxes know,
// the message's record and, when a property needs them, its bytes.
type email struct {
	id       store.EmailID
	thread   store.ThreadID
	places   []store.Membership
	keywords map[string]bool
	received int64
	size     int64
	blob     string // prefix of the ids of its blobs

	rec   *store.Email // nil of a message that is not in the store
	msg   *message.Message
	open  func() (store.Body, error)
	heads map[int]*message.Header // of parts
	args  *bodyArgs
}

// emailType is Email, RFC 8621 §4.
func emailType() *objectType {
	t := &objectType{
		name: "Email", capability: capMail, properties: emailProperties(), getArgs: bodyGetArgs,
		dynamic: func(name string) *property { return headerProperty(name) },
		load:    loadEmails, touched: emailsTouched,
		query: &queryType{
			args: []wire.Field{{Name: "collapseThreads?", Type: "Boolean"}}, filters: emailFilters, sorts: emailSortNames(),
			run: queryEmails, changed: emailQueryChanged,
			fixed: []string{"before", "after", "minSize", "maxSize", "hasAttachment", "text", "from", "to", "cc", "bcc", "subject", "body", "header", "receivedAt", "size", "sentAt"},
		},
		prepare: prepareEmail, create: createEmail, update: updateEmail, destroy: destroyEmail,
	}
	return t
}

// ofEmail makes the getter of a property of emails.
func ofEmail(f func(g *getter, e *email) (any, error)) func(*getter, any) (any, error) {
	return func(g *getter, rec any) (any, error) { return f(g, rec.(*email)) }
}

func emailProperties() []property {
	list := []property{
		{name: "id", typ: "Id", mode: serverSet | immutable},
		{name: "blobId", typ: "Id", mode: serverSet | immutable, get: ofEmail(func(_ *getter, e *email) (any, error) { return e.blob, nil })},
		{name: "threadId", typ: "Id", mode: serverSet | immutable, get: ofEmail(func(_ *getter, e *email) (any, error) { return threadID(e.thread), nil })},
		{name: "mailboxIds", typ: "Id[Boolean]", get: ofEmail(mailboxIDs)},
		{name: "keywords", typ: "String[Boolean]", mode: optional, def: map[string]any{}, get: ofEmail(func(_ *getter, e *email) (any, error) { return e.keywords, nil })},
		{name: "size", typ: "UnsignedInt", mode: serverSet | immutable, get: ofEmail(func(_ *getter, e *email) (any, error) { return e.size, nil })},
		{name: "receivedAt", typ: "UTCDate", mode: immutable | optional, get: ofEmail(func(_ *getter, e *email) (any, error) { return utcDate(e.received), nil })},
	}
	for _, h := range convenience {
		list = append(list, property{name: h.name, typ: h.typ, mode: immutable | optional, get: headerGetter(h.field, h.form, false)})
	}
	return append(list, []property{
		{name: "sentAt", typ: "Date|null", mode: immutable | optional, get: headerGetter("Date", "asDate", false)},
		{name: "hasAttachment", typ: "Boolean", mode: serverSet | immutable, get: ofEmail(hasAttachment)},
		{name: "preview", typ: "String", mode: serverSet | immutable, get: ofEmail(func(_ *getter, e *email) (any, error) { return e.preview(), nil })},
		{name: "bodyValues", typ: "String[EmailBodyValue]", mode: immutable | optional, get: ofEmail((*getter).bodyValues)},
		{name: "textBody", typ: "EmailBodyPart[]", mode: immutable | optional, get: ofEmail(bodyList(func(b *bodyLists) []int { return b.text }))},
		{name: "htmlBody", typ: "EmailBodyPart[]", mode: immutable | optional, get: ofEmail(bodyList(func(b *bodyLists) []int { return b.html }))},
		{name: "attachments", typ: "EmailBodyPart[]", mode: immutable | optional, get: ofEmail(bodyList(func(b *bodyLists) []int { return b.attachments }))},
		{name: "bodyStructure", typ: "EmailBodyPart", mode: immutable | optional | onRequest, get: ofEmail(bodyStructure)},
		{name: "headers", typ: "EmailHeader[]", mode: immutable | optional | onRequest, get: ofEmail(allHeaders)},
		{name: "verdict", typ: "Verdict", mode: serverSet | immutable | onRequest, get: ofEmail(verdictOf)},
		snoozedProperty(), surfacedProperty(), inviteProperty(), signsProperty(),
	}...)
}

// utcDate spells a time as UTCDate.
func utcDate(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02T15:04:05Z") }

// loadEmails returns messages that are there.
func loadEmails(c *call, v *store.View, ids []string) ([]record, error) {
	if ids == nil {
		return nil, refused("requestTooLarge", "name the emails")
	}
	args, err := c.bodyArgs()
	if err != nil {
		return nil, err
	}
	r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
	var list []record
	for _, id := range ids {
		n, ok := parseEmailID(id)
		if !ok {
			continue
		}
		e, err := c.loadEmail(&r, n)
		if err != nil {
			return nil, err
		}
		if e != nil {
			e.args = args
			list = append(list, record{id, e})
		}
	}
	return list, nil
}

// loadEmail returns one message, nil if it is not there.
func (c *call) loadEmail(r *rows, id store.EmailID) (*email, error) {
	e := &email{id: id, blob: "B" + uintText(uint64(id))}
	f, ok := c.acct.index.email(id)
	if ok = ok && !c.exact; ok {
		e.thread, e.places = f.thread, f.places
		ok = e.read(r)
	}
	if !ok { // the index is of another moment than the view
		var err error
		if e.places, err = r.v.Memberships(id); err != nil {
			return nil, err
		}
		if len(e.places) == 0 || !e.read(r) {
			return nil, nil
		}
	}
	rec, err := r.v.Email(id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e.rec, e.thread, e.size = rec, rec.Thread, rec.Size
	e.open = func() (store.Body, error) { return c.acct.Open(c.ctx, rec) }
	return e, nil
}

// read takes from the mailboxes what they know; false if one of the places is not
// there. What IMAP has marked \Deleted is left out.
func (e *email) read(r *rows) bool {
	e.keywords = map[string]bool{}
	seen := true
	places := e.places[:0:0]
	for _, m := range e.places {
		row, snap, ok := r.row(m)
		if !ok || row.Email != e.id {
			return false
		}
		bits := snap.System(row.Flags)
		if bits&store.DeletedBit != 0 {
			continue
		}
		for _, f := range snap.Flags(row.Flags) {
			e.keywords[keywordOf(f)] = true
		}
		seen = seen && bits&store.SeenBit != 0
		if len(places) == 0 || row.InternalDate < e.received {
			e.received = row.InternalDate
		}
		places = append(places, m)
	}
	if !seen {
		delete(e.keywords, "$seen")
	}
	e.places = places
	return len(places) > 0
}

// keywordOf is the keyword of a flag, RFC 8621 §4.1.1.
func keywordOf(f mail.Flag) string {
	s := strings.ToLower(string(f))
	if s[0] == '\\' {
		return "$" + s[1:]
	}
	return s
}

// flagOf is the flag of a keyword; ok is false for what is none.
func flagOf(k string) (mail.Flag, bool) {
	switch k = strings.ToLower(k); k {
	case "$seen", "$answered", "$flagged", "$draft":
		return mail.Flag(`\` + strings.ToUpper(k[1:2]) + k[2:]), true
	case "$deleted", "$recent":
		return "", false
	}
	if k == "" || len(k) > 255 {
		return "", false
	}
	for i := range len(k) {
		if c := k[i]; c <= ' ' || c > '~' || strings.IndexByte(`(){]%*"\`, c) >= 0 {
			return "", false
		}
	}
	return mail.Flag(k), true
}

func mailboxIDs(g *getter, e *email) (any, error) {
	ids := map[string]bool{}
	for _, p := range e.places {
		m, err := g.v.MailboxByID(p.Mailbox)
		if err != nil {
			return nil, err
		}
		ids[mailboxID(m)] = true
	}
	return ids, nil
}

func hasAttachment(_ *getter, e *email) (any, error) {
	if e.rec != nil {
		return e.rec.HasAttachment, nil
	}
	return e.msg.HasAttachment(), nil
}

func (e *email) preview() string {
	if e.rec != nil {
		return string(e.rec.Preview)
	}
	return e.msg.Preview()
}

// message returns the part table.
func (e *email) message() (*message.Message, error) {
	if e.msg == nil {
		m, err := e.rec.Message()
		if err != nil {
			return nil, err
		}
		e.msg = m
	}
	return e.msg, nil
}

// maxHeader is how much of a header section is looked at, as much as the parser does.
const maxHeader = 1 << 20

// headerOf returns the header section of a part; part 0 is the message.
func (e *email) headerOf(g *getter, part int) (*message.Header, error) {
	if h := e.heads[part]; h != nil {
		return h, nil
	}
	m, err := e.message()
	if err != nil {
		return nil, err
	}
	p := &m.Parts[part]
	raw, err := e.bytes(p.HeaderStart, min(p.BodyStart-p.HeaderStart, maxHeader))
	if err != nil {
		return nil, err
	}
	h := message.ParseHeader(raw, g.opts.Message)
	if e.heads == nil {
		e.heads = map[int]*message.Header{}
	}
	e.heads[part] = &h
	return &h, nil
}

// bytes reads n bytes of the message.
func (e *email) bytes(at, n int64) ([]byte, error) {
	b, err := e.open()
	if err != nil {
		return nil, err
	}
	defer b.Close()
	out := make([]byte, n)
	got, err := b.ReadAt(out, at)
	if err != nil && !(errors.Is(err, io.EOF) && int64(got) == n) {
		return nil, err
	}
	return out, nil
}

// emailsTouched tells of messages, RFC 8621 §4.3.
func emailsTouched(c *call, _ *store.View, d *delta) ([]touch, error) {
	list := make([]touch, 0, len(d.order))
	for _, id := range d.order {
		was, is := c.wasThere(d, id)
		list = append(list, touch{emailID(id), was, is})
	}
	return list, nil
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
