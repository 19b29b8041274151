package jmap

import (
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// Contacts are cards in the form of JSContact (RFC 9553), one address book for each
// account. They are the server's own objects; the store keeps them as such.

// Bounds of contacts.
const (
	maxCards  = 20_000
	cardBytes = 64 << 10
)

// cardProperties are those of a JSContact Card that a client may set.
var cardProperties = []string{"created", "updated", "language", "prodId", "name", "nicknames", "organizations", "titles", "speakToAs", "emails", "onlineServices",
	"phones", "preferredLanguages", "calendars", "schedulingAddresses", "addresses", "cryptoKeys", "directories", "links", "media", "localizations", "anniversaries",
	"personalInfo", "relatedTo", "notes"}

// contactCardType is ContactCard of the vendor capability.
func contactCardType() *objectType {
	t := &objectType{
		name: "ContactCard", capability: capPosthouse,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "uid", typ: "String", mode: optional},
			{name: "kind", typ: "String", mode: optional},
			{name: "members", typ: "String[Boolean]|null", mode: optional},
			{name: "keywords", typ: "String[Boolean]|null", mode: optional},
		},
		query: &queryType{
			filters: map[string]filterProperty{"text": {"String"}, "name": {"String"}, "email": {"String"}, "uid": {"String"}, "kind": {"String"}, "hasMember": {"String"}, "keyword": {"String"}, memberOf: {"Id"}}, elsewhere: memberOf,
			sorts: []string{"name", "created", "updated"}, run: queryCards, changed: cardsChanged,
		},
		create: func(s *setter, props map[string]any, _ any) (string, wire.Object, error) { return s.createCard(props) },
		update: func(s *setter, r record, changed map[string]any) (wire.Object, error) {
			m := values{}
			for k, v := range r.rec.(values) {
				m[k] = v
			}
			for k, v := range changed {
				m[k] = v
			}
			m["updated"] = utcDate(s.tx.Now().Unix())
			return wire.Object{{Name: "updated", Value: m["updated"]}}, s.putCard(r.id, m)
		},
		destroy: func(s *setter, id string) error { return s.tx.DeleteObject(store.ObjectContact, id) },
	}
	for _, name := range cardProperties {
		t.properties = append(t.properties, property{name: name, typ: "Any|null", mode: optional})
	}
	return t.keep(store.ObjectContact)
}

func (s *setter) createCard(props map[string]any) (string, wire.Object, error) {
	if s.cards == 0 {
		n, err := countOf(&s.tx.View, store.ObjectContact)
		if err != nil {
			return "", nil, err
		}
		s.cards = n + 1
	} else {
		s.cards++
	}
	if s.cards > maxCards {
		return "", nil, unfit("overQuota", "too many contacts")
	}
	id, err := s.newID("C")
	if err != nil {
		return "", nil, err
	}
	now := utcDate(s.tx.Now().Unix())
	m, set := values{}, wire.Object{}
	for k, v := range props {
		m[k] = v
	}
	for _, p := range []struct{ name, value string }{{"uid", "urn:posthouse:" + id}, {"kind", "individual"}, {"created", now}, {"updated", now}} {
		if text, _ := m[p.name].(string); text == "" {
			m[p.name] = p.value
			set = set.With(p.name, p.value)
		}
	}
	return id, set, s.putCard(id, m)
}

// putCard checks the bounds of a card and writes it.
func (s *setter) putCard(id string, m values) error {
	for k, v := range m {
		if v == nil {
			delete(m, k)
		}
	}
	if len(wire.Append(nil, map[string]any(m))) > cardBytes {
		return unfit("tooLarge", "the contact is too large")
	}
	if uid, _ := m["uid"].(string); uid == "" || len(uid) > 1000 {
		return invalidProperties("not a uid", "uid")
	}
	for _, k := range []string{"name"} {
		if _, ok := m[k].(map[string]any); m[k] != nil && !ok {
			return invalidProperties("not an object", k)
		}
	}
	for _, k := range []string{"emails", "phones", "addresses", "organizations", "nicknames", "titles", "notes", "links", "media", "onlineServices", "anniversaries"} {
		list, ok := m[k].(map[string]any)
		for _, v := range list {
			if _, inner := v.(map[string]any); !inner {
				ok = false
			}
		}
		if m[k] != nil && !ok {
			return invalidProperties("not a map of objects", k)
		}
	}
	return s.put(store.ObjectContact, id, m)
}

// memberOf is the condition on the groups that a card is in.
const memberOf = "memberOf"

// queryCards is ContactCard/query: by name if nothing else is asked.
func queryCards(c *call, v *store.View, q *query) (results, error) {
	recs, err := c.types["ContactCard"].load(c, v, nil)
	if err != nil {
		return nil, err
	}
	book := addressBook{}
	if q.filter.asks(memberOf) {
		for _, r := range recs {
			if m := r.rec.(values); m["kind"] == "group" {
				book[r.id], _ = m["members"].(map[string]any)
			}
		}
	}
	recs = slices.DeleteFunc(recs, func(r record) bool { return !book.fits(q.filter, r.rec.(values)) })
	by := q.sort
	if len(by) == 0 {
		by = []comparator{{property: "name"}}
	}
	return sortedIDs(recs, by, byText(cardKey)), nil
}

func cardKey(r record, property string) string {
	m := r.rec.(values)
	if property != "name" {
		text, _ := m[property].(string)
		return text
	}
	name := cardName(m)
	if list := cardEmails(m); name == "" && len(list) > 0 {
		name = list[0]
	}
	return strings.ToLower(name)
}

// cardsChanged is what changed of a query over cards. Who belongs to a group changes with
// the group and not with the member: then all is asked anew.
func cardsChanged(c *call, v *store.View, q *query, d *delta, res results) (removed []string, added []int, err error) {
	if q.filter.asks(memberOf) && slices.ContainsFunc(d.objects, func(o store.ObjectRef) bool { return o.Kind == store.ObjectContact }) {
		return nil, nil, errCannotCalculate
	}
	return objectsChanged(store.ObjectContact)(c, v, q, d, res)
}

// asks reports whether a filter has a condition.
func (f *filter) asks(condition string) bool {
	if f == nil {
		return false
	}
	_, there := f.cond[condition]
	return there || slices.ContainsFunc(f.sub, func(s *filter) bool { return s.asks(condition) })
}

// An addressBook is the members of the groups, by the ids of these.
type addressBook map[string]map[string]any

func (b addressBook) fits(f *filter, m values) bool {
	return f.fits(func(condition string, val any) bool {
		text, _ := val.(string)
		if condition == memberOf {
			uid, _ := m["uid"].(string)
			return b[text][uid] == true
		}
		return cardHas(m, condition, text)
	})
}

// cardHas answers one condition; text is found anywhere, without regard to case.
func cardHas(m values, condition, text string) bool {
	low := strings.ToLower(text)
	in := func(s string) bool { return strings.Contains(strings.ToLower(s), low) }
	set := func(name string) bool { all, _ := m[name].(map[string]any); return all[text] == true }
	switch condition {
	case "uid", "kind":
		return m[condition] == text
	case "hasMember":
		return set("members")
	case "keyword":
		return set("keywords")
	case "name":
		return in(cardName(m))
	case "email":
		return slices.ContainsFunc(cardEmails(m), in)
	}
	return hasText(map[string]any(m), in)
}

// hasText looks for a text in the values of a card; its depth was bounded when it came.
func hasText(v any, in func(string) bool) bool {
	switch x := v.(type) {
	case string:
		return in(x)
	case []any:
		return slices.ContainsFunc(x, func(e any) bool { return hasText(e, in) })
	case map[string]any:
		for _, e := range x {
			if hasText(e, in) {
				return true
			}
		}
	}
	return false
}

// importCardsMethod is ContactCard/import of the vendor capability: the cards of a vCard
// file. One whose uid is there replaces that.
func importCardsMethod() *method {
	return &method{name: "ContactCard/import", capability: capPosthouse, args: []wire.Field{{Name: "blobId?", Type: "Id"}, {Name: "vcard?", Type: "String"}}, do: importCards}
}

// importBytes and importMost bound one import.
const (
	importBytes = 16 << 20
	importMost  = 5000
)

func importCards(c *call) (wire.Object, error) {
	data, err := c.importData()
	if err != nil {
		return nil, err
	}
	cards, more := parseVCards(data, importMost)
	if more {
		return nil, refused("tooLarge", "too many contacts in one file")
	}
	s := &setter{}
	ids, bad, replaced := []string{}, 0, 0
	err = c.acct.Update(c.ctx, func(tx *store.Tx) error {
		*s = setter{call: c, tx: tx, fresh: map[string]string{}, refused: map[string]*setError{}}
		ids, bad, replaced = []string{}, 0, 0
		byUID := map[string]record{}
		if err := tx.Objects(store.ObjectContact, func(o store.Object) bool {
			if m, err := decodeValues(o.Value); err == nil {
				uid, _ := m["uid"].(string)
				byUID[uid] = record{o.ID, m}
			}
			return true
		}); err != nil {
			return err
		}
		s.cards = len(byUID) + 1
		for _, m := range cards {
			id, old, err := s.importCard(byUID, m)
			if _, unfit := asSetError(err); unfit && err != nil {
				bad++
				continue
			}
			if err != nil {
				return err
			}
			if ids = append(ids, id); old {
				replaced++
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.head().With("ids", ids).With("replaced", replaced).With("notImported", bad), nil
}

func (s *setter) importCard(byUID map[string]record, m values) (id string, replaced bool, err error) {
	uid, _ := m["uid"].(string)
	if old, there := byUID[uid]; there && uid != "" {
		m["created"], m["updated"] = old.rec.(values)["created"], utcDate(s.tx.Now().Unix())
		return old.id, true, s.putCard(old.id, m)
	}
	if id, _, err = s.createCard(m); err == nil && uid != "" {
		byUID[uid] = record{id, m}
	}
	return id, false, err
}

func (c *call) importData() ([]byte, error) {
	text, given := c.args["vcard"].(string)
	if given == (c.args["blobId"] != nil) {
		return nil, invalidArguments("give a blobId or a vcard")
	}
	if given {
		return []byte(text), nil
	}
	var b *blob
	if err := c.view(func(v *store.View) (err error) {
		b, err = c.blob(v, c.str("blobId"))
		return err
	}); err != nil {
		return nil, err
	}
	if b == nil {
		return nil, refused("blobNotFound", "")
	}
	data, err := b.read(importBytes)
	if mail.KindOf(err) == mail.TooLarge && err != nil {
		return nil, refused("tooLarge", "the file is too large")
	}
	return data, err
}
