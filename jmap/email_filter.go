package jmap

import (
	"slices"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/search"
	"posthouse/store"
)

// emailFilters are the conditions of RFC 8621 §4.4.1.
var emailFilters = map[string]filterProperty{
	"inMailbox": {"Id"}, "inMailboxOtherThan": {"Id[]"}, "before": {"UTCDate"}, "after": {"UTCDate"}, "minSize": {"UnsignedInt"}, "maxSize": {"UnsignedInt"},
	"allInThreadHaveKeyword": {"String"}, "someInThreadHaveKeyword": {"String"}, "noneInThreadHaveKeyword": {"String"},
	"hasKeyword": {"String"}, "notKeyword": {"String"}, "hasAttachment": {"Boolean"},
	"text": {"String"}, "from": {"String"}, "to": {"String"}, "cc": {"String"}, "bcc": {"String"}, "subject": {"String"}, "body": {"String"}, "header": {"String[]"},
}

// A filterCompiler makes a search.Key of a filter.
type filterCompiler struct {
	c *call
	v *store.View
	r *rows
	// threads: a condition looks at the other messages of a thread.
	threads bool
	// text: a condition looks at more than rows.
	text bool
}

func (f *filterCompiler) compile(q *filter) (search.Key, error) {
	if q == nil {
		return search.All{}, nil
	}
	if q.op == "" {
		return f.conditions(q.cond)
	}
	keys := make([]search.Key, len(q.sub))
	for i, s := range q.sub {
		k, err := f.compile(s)
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	switch q.op {
	case "AND":
		return search.And(keys), nil
	case "OR":
		return search.Or(keys), nil
	}
	return search.Not{Key: search.Or(keys)}, nil
}

func (f *filterCompiler) conditions(cond map[string]any) (search.Key, error) {
	names := make([]string, 0, len(cond))
	for name := range cond {
		names = append(names, name)
	}
	slices.Sort(names)
	keys := search.And{}
	for _, name := range names {
		k, err := f.condition(name, cond[name])
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (f *filterCompiler) condition(name string, val any) (search.Key, error) {
	text, _ := val.(string)
	num, _ := val.(int64)
	switch name {
	case "inMailbox":
		return f.inMailbox(text)
	case "inMailboxOtherThan":
		return f.elsewhere(stringsOf(val))
	case "before":
		return search.Received{To: instant(text)}, nil
	case "after":
		return search.Received{From: instant(text)}, nil
	case "minSize":
		return search.Larger(num - 1), nil
	case "maxSize":
		return search.Smaller(num), nil
	case "hasKeyword":
		return f.keyword(text)
	case "notKeyword":
		k, err := f.keyword(text)
		return search.Not{Key: k}, err
	case "allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword":
		return f.inThread(name, text)
	case "hasAttachment":
		f.text = true
		if has, _ := val.(bool); !has {
			return search.Not{Key: search.HasAttachment{}}, nil
		}
		return search.HasAttachment{}, nil
	}
	f.text = true
	return f.words(name, text, val)
}

// instant reads a UTCDate; one with a fraction counts as the next second, since
// messages have whole ones.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil && t.Nanosecond() > 0 {
		t = t.Truncate(time.Second).Add(time.Second)
	}
	return t
}

// words compiles the conditions on text, RFC 8621 §4.4.1.
func (f *filterCompiler) words(name, text string, val any) (search.Key, error) {
	switch name {
	case "text":
		return tokens(text, func(s string) search.Key { return search.Text(s) }), nil
	case "body":
		return tokens(text, func(s string) search.Key { return search.Body(s) }), nil
	case "header":
		list := stringsOf(val)
		switch {
		case len(list) == 1 && isFieldName(list[0]):
			return search.Header{Name: list[0]}, nil
		case len(list) == 2 && isFieldName(list[0]):
			return search.Header{Name: list[0], Text: list[1]}, nil
		}
		return nil, invalidArguments("header is not a name, or a name and a text")
	}
	return tokens(text, func(s string) search.Key { return search.Header{Name: name, Text: s} }), nil
}

// tokens splits at white space outside of quotes: all of the words must be there.
func tokens(text string, key func(string) search.Key) search.Key {
	keys := search.And{}
	for _, w := range splitWords(text) {
		keys = append(keys, key(w))
	}
	return keys
}

// splitWords returns words and phrases in double or single quotes, with \ before a
// quote that is meant as such.
func splitWords(text string) []string {
	var words []string
	var b strings.Builder
	quote := rune(0)
	escaped, inWord := false, false
	flush := func() {
		if b.Len() > 0 {
			words = append(words, b.String())
		}
		b.Reset()
		inWord = false
	}
	for _, r := range text {
		switch {
		case escaped:
			if r != '"' && r != '\'' && r != '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
			flush()
		case quote == 0 && !inWord && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			flush()
			continue
		default:
			b.WriteRune(r)
			inWord = true
		}
	}
	flush()
	return words
}

// inMailbox matches the messages of a mailbox. A row knows its own mailbox only by
// the snapshot that it is in, so the index is asked.
func (f *filterCompiler) inMailbox(id string) (search.Key, error) {
	m := findMailbox(f.v, id)
	if m == nil {
		return nil, invalidArguments("there is no mailbox " + id)
	}
	x := f.c.acct.index
	return search.Rows(func(r store.Row) bool {
		x.mu.RLock()
		defer x.mu.RUnlock()
		in := false
		if e := x.entryLocked(r.Email); e != nil {
			e.memberships(func(p store.Membership) { in = in || p.Mailbox == m.ID })
		}
		return in
	}), nil
}

// elsewhere matches what is in a mailbox that is not one of ids.
func (f *filterCompiler) elsewhere(ids []string) (search.Key, error) {
	except := map[store.MailboxID]bool{}
	for _, id := range ids {
		m := findMailbox(f.v, id)
		if m == nil {
			return nil, invalidArguments("there is no mailbox " + id)
		}
		except[m.ID] = true
	}
	x := f.c.acct.index
	return search.Rows(func(r store.Row) bool {
		x.mu.RLock()
		defer x.mu.RUnlock()
		out := false
		if e := x.entryLocked(r.Email); e != nil {
			e.memberships(func(p store.Membership) { out = out || !except[p.Mailbox] })
		}
		return out
	}), nil
}

// keyword matches messages that have a keyword in one of their mailboxes.
func (f *filterCompiler) keyword(k string) (search.Key, error) {
	has, err := f.marked(k)
	return search.Rows(func(r store.Row) bool { return has(r.Email) }), err
}

// marked returns whether a message has a keyword.
func (f *filterCompiler) marked(k string) (func(store.EmailID) bool, error) {
	flag, ok := flagOf(k)
	if !ok {
		return nil, invalidArguments("not a keyword: " + k)
	}
	known := map[store.FlagSet]bool{}
	x := f.c.acct.index
	return func(id store.EmailID) bool {
		x.mu.RLock()
		var places [4]store.Membership
		list := places[:0]
		if e := x.entryLocked(id); e != nil {
			e.memberships(func(p store.Membership) { list = append(list, p) })
		}
		x.mu.RUnlock()
		all := flag == mail.FlagSeen && len(list) > 0 // what has been read has been everywhere
		for _, p := range list {
			row, snap, ok := f.r.row(p)
			if !ok {
				continue
			}
			has, asked := known[row.Flags]
			if !asked {
				has = snap.Has(row.Flags, flag)
				known[row.Flags] = has
			}
			if has != all {
				return has
			}
		}
		return all
	}, nil
}

// inThread matches by the keywords of all messages of the thread.
func (f *filterCompiler) inThread(name, k string) (search.Key, error) {
	f.threads = true
	has, err := f.marked(k)
	if err != nil {
		return nil, err
	}
	x := f.c.acct.index
	answers := map[store.ThreadID]bool{}
	return search.Rows(func(r store.Row) bool {
		t := x.threadOf(r.Email)
		if a, known := answers[t]; known {
			return a
		}
		a := threadHas(x, t, name, has)
		answers[t] = a
		return a
	}), nil
}

func threadHas(x *index, t store.ThreadID, name string, has func(store.EmailID) bool) bool {
	some, all := false, true
	ids, there := x.thread(t)
	for i, id := range ids {
		if there[i] {
			h := has(id)
			some, all = some || h, all && h
		}
	}
	switch name {
	case "allInThreadHaveKeyword":
		return all
	case "someInThreadHaveKeyword":
		return some
	}
	return !some
}
