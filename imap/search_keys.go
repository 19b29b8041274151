package imap

import (
	"time"
	"unicode/utf8"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/search"
	"posthouse/store"
)

type readKey = func(c *conn, d *wire.Decoder, s *searchCommand) search.Key

// searchFlagKeys look at flags, RFC 9051 §6.4.4 and RFC 3501 §6.4.4.
var searchFlagKeys = []searchKey{
	{"ANSWERED", flagKey(mail.FlagAnswered)}, {"UNANSWERED", not(flagKey(mail.FlagAnswered))},
	{"DELETED", flagKey(mail.FlagDeleted)}, {"UNDELETED", not(flagKey(mail.FlagDeleted))},
	{"DRAFT", flagKey(mail.FlagDraft)}, {"UNDRAFT", not(flagKey(mail.FlagDraft))},
	{"FLAGGED", flagKey(mail.FlagFlagged)}, {"UNFLAGGED", not(flagKey(mail.FlagFlagged))},
	{"SEEN", flagKey(mail.FlagSeen)}, {"UNSEEN", not(flagKey(mail.FlagSeen))},
	{"KEYWORD", keywordKey}, {"UNKEYWORD", not(keywordKey)},
	{"RECENT", recentKey}, {"OLD", not(recentKey)},
	{"NEW", func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
		return search.And{recentKey(c, d, s), search.Not{Key: search.Flag(mail.FlagSeen)}}
	}},
}

// searchRowKeys look at numbers, dates and sizes, and at other keys.
var searchRowKeys = []searchKey{
	{"ALL", func(*conn, *wire.Decoder, *searchCommand) search.Key { return search.All{} }},
	{"UID", func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
		d.SP()
		if s.multi || s.dry {
			return anyUIDs(d)
		}
		return c.messages(d, true)
	}},
	{"LARGER", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		d.SP()
		return search.Larger(d.Number64())
	}},
	{"SMALLER", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		d.SP()
		return search.Smaller(d.Number64())
	}},
	{"BEFORE", dateKey(func(t time.Time) search.Key { return search.Received{To: t} })},
	{"ON", dateKey(func(t time.Time) search.Key { return search.Received{From: t, To: t.AddDate(0, 0, 1)} })},
	{"SINCE", dateKey(func(t time.Time) search.Key { return search.Received{From: t} })},
	{"SENTBEFORE", dateKey(func(t time.Time) search.Key { return search.Sent{To: t} })},
	{"SENTON", dateKey(func(t time.Time) search.Key { return search.Sent{From: t, To: t.AddDate(0, 0, 1)} })},
	{"SENTSINCE", dateKey(func(t time.Time) search.Key { return search.Sent{From: t} })},
	{"NOT", not(func(c *conn, d *wire.Decoder, s *searchCommand) search.Key { return c.nested(d, s) })},
	{"OR", func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
		a := c.nested(d, s)
		return search.Or{a, c.nested(d, s)}
	}},
}

// searchTextKeys look at headers and text.
var searchTextKeys = []searchKey{
	{"BCC", headerKey("Bcc")}, {"CC", headerKey("Cc")}, {"FROM", headerKey("From")}, {"TO", headerKey("To")},
	{"SUBJECT", headerKey("Subject")},
	{"HEADER", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		d.SP()
		name := d.Astring()
		return search.Header{Name: name, Text: readText(d)}
	}},
	{"BODY", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key { return search.Body(readText(d)) }},
	{"TEXT", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key { return search.Text(readText(d)) }},
}

// anyUIDs reads UIDs that are looked for in more than one mailbox.
func anyUIDs(d *wire.Decoder) search.Key {
	set := d.NumSet()
	if set.Saved {
		d.Bad("$ means nothing in ESEARCH")
	}
	or := search.Or{search.UIDs(uidRanges(set.Ranges))}
	for _, r := range set.Ranges {
		if r.First == wire.Star || r.Last == wire.Star { // the last message is in such a range
			or = append(or, search.Last{})
		}
	}
	return or
}

func flagKey(f mail.Flag) readKey {
	return func(*conn, *wire.Decoder, *searchCommand) search.Key { return search.Flag(f) }
}

func not(read readKey) readKey {
	return func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
		return search.Not{Key: read(c, d, s)}
	}
}

func keywordKey(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
	d.SP()
	return search.Flag(d.Keyword())
}

// recentKey: \Recent belongs to the session, so the session names the messages.
func recentKey(c *conn, _ *wire.Decoder, _ *searchCommand) search.Key {
	if c.dia.rev2 {
		return search.UIDs(nil)
	}
	return search.UIDs(normal(append(store.UIDSet(nil), c.sel.recent...)))
}

func dateKey(key func(time.Time) search.Key) readKey {
	return func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		d.SP()
		return key(d.Date())
	}
}

func headerKey(name string) readKey {
	return func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		return search.Header{Name: name, Text: readText(d)}
	}
}

// nested reads a key inside a key, counting the depth.
func (c *conn) nested(d *wire.Decoder, s *searchCommand) search.Key {
	var k search.Key = search.All{}
	d.SP()
	d.Nest(func() { k = c.readKey(d, s) })
	return k
}

// readText reads a string to look for.
func readText(d *wire.Decoder) string {
	d.SP()
	s := d.Astring()
	if d.Err() == nil && !utf8.ValidString(s) {
		d.Fail(no("BADCHARSET (US-ASCII UTF-8)", "the text is not UTF-8"))
	}
	return s
}
