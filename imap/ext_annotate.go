package imap

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/search"
	"posthouse/store"
)

// extAnnotate is ANNOTATE-EXPERIMENT-1: notes on messages, one's own and shared ones,
// RFC 5257 §4. Names compare without case here, as those of METADATA.
var extAnnotate = &extension{name: "ANNOTATE-EXPERIMENT-1", rfc: "RFC 5257",
	onSelect: func(c *conn, _ *place) {
		if c.sel.readOnly {
			c.untagged("OK [ANNOTATIONS READ-ONLY] annotations are not changed here")
			return
		}
		c.untagged("OK [ANNOTATIONS ", strconv.Itoa(c.srv.opts.Store.Limits().AnnotationBytes), "] annotations may be so large")
	},
	// The parameter asks to be told of changes (§4.2): they are, by the FETCH that every
	// change of a message's ModSeq brings.
	selectParams: []selectParam{{"ANNOTATE", func(*conn, *wire.Decoder, *selectOptions) {}}},
	fetch: []fetchItem{{name: "ANNOTATION", read: readAnnotationItem, write: func(f *fetch, m *fetched, b *boundItem, dst []byte) []byte {
		return f.appendAnnotations(m, &b.notes, dst)
	}}},
	storeItems: []storeItem{{"ANNOTATION", readAnnotationStore}},
	search:     []searchKey{{"ANNOTATION", readAnnotationKey}},
	sortKeys:   []sortKey{{"ANNOTATION", search.ByText, readAnnotationOrder}},
	appendExts: []appendExt{{"ANNOTATION", func(c *conn, d *wire.Decoder, u *upload) { u.notes = c.readNotes(d) }}},
}

// A noteQuery is what a FETCH wants of annotations: entries, which may hold wildcards,
// and attributes of them.
type noteQuery struct {
	entries []string
	match   []*pattern // of those with wildcards; nil: named in full
	attribs []noteAttrib
}

// A noteAttrib is the value or the size of an annotation, private or shared.
type noteAttrib struct{ size, shared bool }

func (a noteAttrib) String() string {
	s := "value"
	if a.size {
		s = "size"
	}
	if a.shared {
		return s + ".shared"
	}
	return s + ".priv"
}

// readAttrib reads the name of an attribute; without a suffix it is two, RFC 5257 §3.2.2.
func readAttrib(d *wire.Decoder) []noteAttrib {
	name := strings.ToLower(d.ListMailbox())
	for _, size := range []bool{false, true} {
		base := strings.TrimSuffix(noteAttrib{size: size}.String(), ".priv")
		switch name {
		case base, base + ".*", base + "*":
			return []noteAttrib{{size, false}, {size, true}}
		case base + ".priv":
			return []noteAttrib{{size, false}}
		case base + ".shared":
			return []noteAttrib{{size, true}}
		}
	}
	d.Bad("there is no such attribute")
	return nil
}

// noteEntry checks the name of an entry of a message, RFC 5257 §3.2.
func noteEntry(d *wire.Decoder, name string, wild bool) string {
	bad := name == "" || name[0] != '/' && !(wild && isWild(name[0])) || len(name) > 255 || strings.Contains(name, "//") || len(name) > 1 && name[len(name)-1] == '/'
	for i := range len(name) {
		c := name[i]
		bad = bad || c < ' ' || c >= 0x7f || !wild && (c == '*' || c == '%')
	}
	if bad || !wild && name == "/" {
		d.Bad("bad name of an entry")
	}
	return name
}

// oneOrList reads one thing, or several in parentheses.
func oneOrList(c *conn, d *wire.Decoder, read func()) {
	if d.Peek() != '(' {
		read()
		return
	}
	n := 0
	d.List(func() {
		if n++; n > c.lim.FetchItems {
			d.Bad("too many entries")
		}
		read()
	})
}

// readAnnotationItem reads what FETCH wants, RFC 5257 §4.3.
func readAnnotationItem(c *conn, d *wire.Decoder, b *boundItem) {
	q := &b.notes
	d.SP()
	d.Open()
	oneOrList(c, d, func() {
		name := noteEntry(d, d.ListMailbox(), true)
		var p *pattern
		if strings.ContainsAny(name, "*%") {
			p = newPattern(strings.ToLower(name))
		}
		q.entries, q.match = append(q.entries, name), append(q.match, p)
	})
	d.SP()
	oneOrList(c, d, func() { q.attribs = append(q.attribs, readAttrib(d)...) })
	d.Close()
}

// A noteValue is an annotation as it is told: private and shared, nil where it is not
// there.
type noteValue struct {
	name         string
	priv, shared []byte
}

// notes loads the annotations of a message that this user may see.
func (c *conn) notes(uid store.UID) (all []noteValue, err error) {
	err = c.sel.acct.View(c.ctx, func(v *store.View) error {
		return v.MessageAnnotations(c.sel.mailbox, store.UIDs(uid), c.user.ID, func(_ store.UID, a *store.Annotation) bool {
			i := slices.IndexFunc(all, func(n noteValue) bool { return n.name == a.Name })
			if i < 0 {
				all = append(all, noteValue{name: a.Name})
				i = len(all) - 1
			}
			if a.User == 0 {
				all[i].shared = a.Value
			} else {
				all[i].priv = a.Value
			}
			return true
		})
	})
	return all, err
}

// appendAnnotations writes ANNOTATION, RFC 5257 §4.4. An entry that is asked for by its
// name and not there is NIL.
func (f *fetch) appendAnnotations(m *fetched, q *noteQuery, dst []byte) []byte {
	all, err := f.c.notes(m.row.UID)
	if err != nil && f.corrupt == nil && mail.KindOf(err) == mail.Corrupt {
		f.corrupt = err
	}
	dst = append(dst, "ANNOTATION ("...)
	mark := len(dst)
	told := map[string]bool{}
	tell := func(shown string, n noteValue) {
		if told[n.name] {
			return
		}
		told[n.name] = true
		if len(dst) > mark {
			dst = append(dst, ' ')
		}
		dst = append(wire.AppendAstring(dst, shown, false), " ("...)
		for i, a := range q.attribs {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(append(dst, a.String()...), ' ')
			value := n.priv
			if a.shared {
				value = n.shared
			}
			if a.size {
				dst = append(appendUint(append(dst, '"'), uint64(len(value))), '"')
			} else {
				dst = appendValue(dst, value)
			}
		}
		dst = append(dst, ')')
	}
	for i, name := range q.entries {
		low := strings.ToLower(name)
		if q.match[i] == nil {
			at := slices.IndexFunc(all, func(n noteValue) bool { return n.name == low })
			if at < 0 {
				tell(name, noteValue{name: low})
			} else {
				tell(name, all[at])
			}
			continue
		}
		for _, n := range all {
			if q.match[i].match(n.name) {
				tell(n.name, n)
			}
		}
	}
	return append(dst, ')')
}

// A noteChange is one value that is set.
type noteChange struct {
	name   string
	shared bool
	value  []byte // nil: removed
}

// readNotes reads entries with what their values become, RFC 5257 §4.5 and §4.7.
func (c *conn) readNotes(d *wire.Decoder) (list []noteChange) {
	d.List(func() {
		name := noteEntry(d, d.Astring(), false)
		d.SP()
		d.List(func() {
			if len(list) >= c.lim.FetchItems {
				d.Bad("too many entries")
			}
			a := readAttrib(d)
			if d.SP(); len(a) != 1 || a[0].size {
				d.Bad("only value.priv and value.shared are set")
				return
			}
			ch := noteChange{name: name, shared: a[0].shared}
			if s, ok := d.Nstring(); ok {
				ch.value = append([]byte{}, s...)
			}
			checkNote(d, &ch)
			list = append(list, ch)
		})
	})
	if len(list) == 0 {
		d.Bad("ANNOTATION wants an entry")
	}
	return list
}

// checkNote refuses what RFC 5257 §3.2.1 leaves no room for.
func checkNote(d *wire.Decoder, ch *noteChange) {
	low := strings.ToLower(ch.name)
	if low == "/flags" || strings.HasPrefix(low, "/flags/") {
		d.Fail(no("CANNOT", "these entries are reserved"))
	}
	part, rest, _ := strings.Cut(low[1:], "/")
	if part[0] >= '0' && part[0] <= '9' && strings.HasPrefix(rest, "flags/") && ch.value != nil && string(ch.value) != "1" && string(ch.value) != "0" {
		d.Bad("a flag of a part is 1 or 0")
	}
}

// partExists checks that an entry of a part is one of a part that the message has.
func partExists(e *store.Email, name string) error {
	first, _, _ := strings.Cut(name[1:], "/")
	if first[0] < '0' || first[0] > '9' {
		return nil
	}
	var path []int
	for number := range strings.SplitSeq(first, ".") {
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || n == 0 || len(path) > 100 {
			return bad("there is no such part")
		}
		path = append(path, int(n))
	}
	m, err := e.Message()
	if err != nil {
		return err
	}
	if _, found := m.PartAt(path); !found {
		return bad("there is no such part")
	}
	return nil
}

// readAnnotationStore reads STORE with ANNOTATION.
func readAnnotationStore(c *conn, d *wire.Decoder, o *storeOptions) {
	if o.change.Op != store.FlagsReplace {
		d.Bad("ANNOTATION stands without a sign")
	}
	list := c.readNotes(d)
	o.run = func(c *conn, spans []span, o *storeOptions) error { return c.storeNotes(list, spans, o) }
}

// storeNotes sets annotations of messages, all or none, RFC 5257 §4.5. It is silent but
// for ModSeqs.
func (c *conn) storeNotes(list []noteChange, spans []span, o *storeOptions) error {
	uids := c.uids(spans)
	if spanned(spans)*len(list) > maxNotes {
		return no("LIMIT", "too many annotations for one command")
	}
	var changed, modified store.UIDSet
	err := c.sel.acct.Update(c.ctx, func(tx *store.Tx) error {
		changed, modified = nil, nil
		snap, err := tx.Snapshot(c.sel.mailbox)
		if err != nil {
			return c.gone(err)
		}
		for _, row := range rowsOf(snap, uids) {
			if o.change.Conditional && row.ModSeq > o.change.UnchangedSince {
				modified = addUID(modified, row.UID)
				continue
			}
			if err := c.annotate(tx, row, list); err != nil {
				return err
			}
			changed = addUID(changed, row.UID)
		}
		return nil
	})
	if err != nil {
		return noteError(err)
	}
	cur, err := c.current()
	if err != nil {
		return err
	}
	c.ready()
	if err := c.sayStored(cur, changed, true); err != nil {
		return err
	}
	c.echo = changed
	if len(modified) > 0 {
		return c.sayModified(modified)
	}
	return nil
}

// maxNotes bounds what one STORE changes.
const maxNotes = 100_000

func (c *conn) annotate(tx *store.Tx, row store.Row, list []noteChange) error {
	var e *store.Email
	for i := range list {
		ch := &list[i]
		if ch.name[1] >= '0' && ch.name[1] <= '9' {
			var err error
			if e == nil {
				e, err = tx.Email(row.Email)
			}
			if err == nil {
				err = partExists(e, ch.name)
			}
			if err != nil {
				return err
			}
		}
		if err := tx.SetMessageAnnotation(c.sel.mailbox, row.UID, c.noteUser(ch), ch.name, ch.value); err != nil {
			return err
		}
	}
	return nil
}

// noteUser is whose annotation is set.
func (c *conn) noteUser(ch *noteChange) mail.AccountID {
	if ch.shared {
		return 0
	}
	return c.user.ID
}

// noteError names the limits of RFC 5257 §4.5.
func noteError(err error) error {
	switch {
	case errors.Is(err, store.ErrTooManyAnnotations):
		return no("ANNOTATE TOOMANY", "too many annotations")
	case mail.KindOf(err) == mail.TooLarge && err != nil:
		return no("ANNOTATE TOOBIG", "the value is too large")
	}
	return err
}

// readAnnotationKey reads ANNOTATION entry-match attribute value of SEARCH, RFC 5257
// §4.8: a value that holds the text, or with NIL none. The messages are found at once.
func readAnnotationKey(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
	d.SP()
	entry := newPattern(strings.ToLower(noteEntry(d, d.ListMailbox(), true)))
	d.SP()
	attribs := readAttrib(d)
	d.SP()
	text, some := "", true
	if d.TryWord("NIL") {
		some = false
	} else {
		text = d.Astring()
	}
	if len(attribs) > 0 && attribs[0].size {
		d.Bad("only values are searched")
	}
	if d.Err() != nil || s.dry {
		return search.All{}
	}
	if s.multi || c.state != stateSelected {
		d.Fail(no("CANNOT", "annotations are searched in the selected mailbox"))
		return search.All{}
	}
	found := store.UIDSet{}
	low := strings.ToLower(text)
	err := c.sel.acct.View(c.ctx, func(v *store.View) error {
		return v.MessageAnnotations(c.sel.mailbox, store.UIDSet{{First: 1, Last: 1<<32 - 1}}, c.user.ID, func(u store.UID, a *store.Annotation) bool {
			wanted := slices.ContainsFunc(attribs, func(x noteAttrib) bool { return x.shared == (a.User == 0) })
			if wanted && entry.match(a.Name) && (!some || strings.Contains(strings.ToLower(string(a.Value)), low)) {
				found.AddRange(u, u)
			}
			return true
		})
	})
	d.Fail(err)
	if !some {
		return search.Not{Key: search.UIDs(found)}
	}
	return search.UIDs(found)
}

// readAnnotationOrder reads ANNOTATION entry attribute of SORT, RFC 5257 §4.9.
func readAnnotationOrder(c *conn, d *wire.Decoder, k *search.SortKey) {
	d.SP()
	name := strings.ToLower(noteEntry(d, d.Astring(), false))
	d.SP()
	a := readAttrib(d)
	if d.Err() == nil && (len(a) != 1 || a[0].size) {
		d.Bad("an order is by value.priv or value.shared")
	}
	k.Texts = func(rows []store.Row) ([]string, error) {
		texts, at := make([]string, len(rows)), make(map[store.UID]int, len(rows))
		for i := range rows {
			at[rows[i].UID] = i
		}
		return texts, c.sel.acct.View(c.ctx, func(v *store.View) error {
			return v.MessageAnnotations(c.sel.mailbox, store.UIDSet{{First: 1, Last: 1<<32 - 1}}, c.user.ID, func(u store.UID, x *store.Annotation) bool {
				if i, wanted := at[u]; wanted && x.Name == name && a[0].shared == (x.User == 0) {
					texts[i] = string(x.Value)
				}
				return true
			})
		})
	}
}
