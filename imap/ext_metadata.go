package imap

import (
	"errors"
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// extMetadata is METADATA: annotations of mailboxes and, under the mailbox "", of
// the account, RFC 5464 §3. Shared entries of the server would be everybody's, and
// nobody here may set them. What others change is told where it was asked for.
var extMetadata = &extension{name: "METADATA", rfc: "RFC 5464",
	enable: func(c *conn) {
		c.metadataOn = true
		c.feed()
	},
	reset: func(c *conn) {
		c.metadataOn = false
		c.feed()
	},
	commands: []command{
		{"GETMETADATA", loggedIn, tellAll, false, (*conn).metadata},
		{"SETMETADATA", loggedIn, tellAll, false, (*conn).setMetadata},
	},
}

// extListMetadata is LIST-METADATA, RFC 9590 §3.
var extListMetadata = &extension{name: "LIST-METADATA", rfc: "RFC 9590",
	listReturn: []listOption{{"METADATA", func(c *conn, d *wire.Decoder, o *listOptions) {
		d.SP()
		o.metadata = c.readEntries(d)
	}}},
}

// An entry names an annotation.
type entry struct {
	text    string // as the client spells it
	private bool
	name    string // in lower case, behind the scope: "/comment"; "" for a scope alone
}

// scopes of RFC 5464 §3.2.
const scopePrivate, scopeShared = "/private", "/shared"

// readEntry reads the name of an entry, RFC 5464 §3.2.
func readEntry(d *wire.Decoder) entry {
	text := d.Astring()
	if d.Err() != nil {
		return entry{}
	}
	low := strings.ToLower(text)
	rest, private := strings.CutPrefix(low, scopePrivate)
	if !private {
		var shared bool
		if rest, shared = strings.CutPrefix(low, scopeShared); !shared {
			d.Bad("an entry begins with /private or /shared")
		}
	}
	bad := len(text) > 255 || rest != "" && rest[0] != '/' || strings.HasSuffix(rest, "/") || strings.Contains(rest, "//")
	for i := range len(rest) {
		bad = bad || rest[i] < ' ' || rest[i] >= 0x7f || rest[i] == '*' || rest[i] == '%'
	}
	if bad {
		d.Bad("bad name of an entry")
	}
	return entry{text, private, rest}
}

// readEntries reads one entry, or several in parentheses.
func (c *conn) readEntries(d *wire.Decoder) []entry {
	var list []entry
	read := func() {
		if len(list) >= c.lim.FetchItems {
			d.Bad("too many entries")
		}
		list = append(list, readEntry(d))
	}
	if d.Peek() == '(' {
		d.List(read)
	} else {
		read()
	}
	return list
}

// depths of RFC 5464 §4.2.2.
const depthAll = 1 << 30

// A metadataQuery is what GETMETADATA asks for.
type metadataQuery struct {
	entries []entry
	depth   int
	limited bool
	maxSize uint64
	longest uint64 // of the values over maxSize
}

// options reads MAXSIZE and DEPTH, RFC 5464 §4.2.1 and §4.2.2.
func (q *metadataQuery) options(d *wire.Decoder) {
	d.List(func() {
		switch string(d.Word()) {
		case "MAXSIZE":
			d.SP()
			q.limited, q.maxSize = true, uint64(d.Number())
		case "DEPTH":
			d.SP()
			switch strings.ToLower(d.Atom()) {
			case "0":
				q.depth = 0
			case "1":
				q.depth = 1
			case "infinity":
				q.depth = depthAll
			default:
				d.Bad("DEPTH is 0, 1 or infinity")
			}
		default:
			d.Bad("unknown option of GETMETADATA")
		}
	})
}

// optionsNext reports whether a list of options follows, and not one of entries.
func optionsNext(d *wire.Decoder) bool {
	if d.Peek() != '(' {
		return false
	}
	c := d.PeekAt(1)
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// GETMETADATA, RFC 5464 §4.2. The options stand before the mailbox in its grammar
// and behind it in its examples: both are in use.
func (c *conn) metadata(d *wire.Decoder) error {
	var q metadataQuery
	d.SP()
	if optionsNext(d) {
		q.options(d)
		d.SP()
	}
	path := c.mailbox(d)
	d.SP()
	if optionsNext(d) {
		q.options(d)
		d.SP()
	}
	if q.entries = c.readEntries(d); len(q.entries) == 0 {
		d.Bad("GETMETADATA wants an entry")
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if err := c.sayMetadata(path, &q); err != nil {
		return err
	}
	if q.longest > 0 {
		c.okCode = string(appendUint([]byte("METADATA LONGENTRIES "), q.longest))
	}
	return nil
}

// annotated finds what has annotations: 0 is the account.
func (t *target) annotated(v *store.View) (store.MailboxID, error) {
	if t.name == "" {
		return 0, nil
	}
	m, err := t.mailbox(v)
	if err != nil {
		return 0, err
	}
	if m.NoSelect {
		return 0, no("NONEXISTENT", "the mailbox cannot be selected")
	}
	return m.ID, nil
}

// sayMetadata writes METADATA, RFC 5464 §4.4.1. An entry that is asked for by name
// and not there is NIL.
func (c *conn) sayMetadata(path string, q *metadataQuery) error {
	c.say("* METADATA ")
	start := len(c.out) - len("* METADATA ")
	dst := append(c.dia.appendMailbox(c.out, path), " ("...)
	mark := len(dst)
	add := func(name string, value []byte) {
		if q.limited && uint64(len(value)) > q.maxSize {
			q.longest = max(q.longest, uint64(len(value)))
			return
		}
		if len(dst) > mark {
			dst = append(dst, ' ')
		}
		dst = append(wire.AppendAstring(dst, name, c.dia.utf8()), ' ')
		dst = appendValue(dst, value)
	}
	t, err := c.target(path)
	if err != nil {
		c.out = c.out[:start]
		return err
	}
	err = t.acct.View(c.ctx, func(v *store.View) error {
		id, err := t.annotated(v)
		if err != nil {
			return err
		}
		for i := range q.entries {
			if err := q.collect(v, id, &q.entries[i], c.user.ID, add); err != nil {
				return err
			}
		}
		return nil
	})
	if c.out = append(dst, ")\r\n"...); err != nil || len(dst) == mark {
		c.out = c.out[:start] // nothing to tell
	}
	return err
}

// collect finds the values of one entry.
func (q *metadataQuery) collect(v *store.View, id store.MailboxID, e *entry, who mail.AccountID, add func(string, []byte)) error {
	user, scope := mail.AccountID(0), scopeShared
	if e.private {
		user, scope = who, scopePrivate
	}
	if q.depth == 0 {
		if e.name == "" {
			add(e.text, nil)
			return nil
		}
		value, err := v.Annotation(id, user, e.name)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		add(e.text, value)
		return nil
	}
	return v.Annotations(id, user, func(a *store.Annotation) bool {
		below, ok := strings.CutPrefix(a.Name, e.name)
		if a.User == user && ok && (below == "" || below[0] == '/' && strings.Count(below, "/") <= q.depth) {
			add(scope+a.Name, a.Value)
		}
		return true
	})
}

// appendValue appends a value, RFC 5464 §5: nil is NIL, what holds NUL a literal8.
func appendValue(dst, value []byte) []byte {
	switch {
	case value == nil:
		return append(dst, "NIL"...)
	case strings.IndexByte(string(value), 0) >= 0:
		return append(wire.AppendLiteral(append(dst, '~'), int64(len(value))), value...)
	}
	return wire.AppendString(dst, string(value), false)
}

// SETMETADATA, RFC 5464 §4.3: all or none.
func (c *conn) setMetadata(d *wire.Decoder) error {
	type change struct {
		entry
		value []byte
	}
	var list []change
	d.SP()
	path := c.mailbox(d)
	d.SP()
	d.List(func() {
		if len(list) >= c.lim.FetchItems {
			d.Bad("too many entries")
		}
		ch := change{entry: readEntry(d)}
		d.SP()
		if s, ok := d.Nstring(); ok {
			ch.value = append([]byte{}, s...)
		}
		if ch.name == "" {
			d.Bad("bad name of an entry")
		}
		list = append(list, ch)
	})
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if len(list) == 0 {
		return bad("SETMETADATA wants an entry")
	}
	t, err := c.target(path)
	if err != nil {
		return err
	}
	var id store.MailboxID
	err = t.acct.Update(c.ctx, func(tx *store.Tx) (err error) {
		if id, err = t.annotated(&tx.View); err != nil {
			return err
		}
		for i := range list {
			ch, user := &list[i], mail.AccountID(0)
			if ch.private {
				user = c.user.ID
			} else if id == 0 {
				return no("NOPERM", "shared entries of the server are not set here")
			}
			if id == 0 && ch.value != nil {
				if err := c.checkEntry(ch.name, ch.value); err != nil {
					return err
				}
			}
			if err := tx.SetAnnotation(id, user, ch.name, ch.value); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		entries := make([]entry, len(list))
		for i := range list {
			entries[i] = list[i].entry
		}
		c.spreadEntries(t.acct, id, entries)
		return nil
	case errors.Is(err, store.ErrTooManyAnnotations):
		return no("METADATA TOOMANY", "too many entries")
	case mail.KindOf(err) == mail.TooLarge && err != nil:
		most := c.srv.opts.Store.Limits().AnnotationBytes
		return no(string(appendUint([]byte("METADATA MAXSIZE "), uint64(most))), "the value is too large")
	}
	return err
}

// checkEntry lets the extensions look at an annotation of the account.
func (c *conn) checkEntry(name string, value []byte) error {
	for _, x := range c.tab.extensions {
		if x.check == nil {
			continue
		}
		if err := x.check(c, name, value); err != nil {
			return err
		}
	}
	return nil
}
