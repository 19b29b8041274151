package jmap

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// exportCardsMethod is ContactCard/export of the vendor capability: cards as a vCard file
// that is there to be downloaded.
func exportCardsMethod() *method {
	return &method{name: "ContactCard/export", capability: capPosthouse, args: []wire.Field{{Name: "ids?", Type: "Id[]"}, {Name: "version?", Type: "String"}}, do: exportCards}
}

// vcardVersions are those that are written, RFC 6350 and RFC 2426.
var vcardVersions = map[string]bool{"4.0": true, "3.0": false}

func exportCards(c *call) (wire.Object, error) {
	version := c.str("version")
	if version == "" {
		version = "4.0"
	}
	four, known := vcardVersions[version]
	if !known {
		return nil, invalidArguments("version is 4.0 or 3.0")
	}
	ids := unique(c.strs("ids"))
	if c.args["ids"] == nil {
		ids = nil
	}
	if len(ids) > maxCards {
		return nil, refused("requestTooLarge", "too many contacts")
	}
	var recs []record
	if err := c.view(func(v *store.View) (err error) {
		recs, err = c.types["ContactCard"].load(c, v, ids)
		return err
	}); err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	go func() {
		var err error
		for _, r := range recs {
			w := cardWriter{four: four}
			if _, err = pw.Write(w.card(r.rec.(values))); err != nil {
				break
			}
		}
		pw.CloseWithError(err)
	}()
	id, size, err := c.takeUpload(c.ctx, c.who, c.acct, pr, "text/vcard")
	pr.CloseWithError(io.ErrClosedPipe) // ends the writer whatever happened
	if mail.KindOf(err) == mail.TooLarge && err != nil {
		return nil, refused("tooLarge", "the contacts make too large a file")
	}
	found := make(map[string]bool, len(recs))
	for _, r := range recs {
		found[r.id] = true
	}
	missing := []string{}
	for _, id := range ids {
		if !found[id] {
			missing = append(missing, id)
		}
	}
	return c.head().With("blobId", id).With("type", "text/vcard").With("size", size).With("exported", len(recs)).With("notFound", missing), err
}

// A cardWriter writes one card; four: as version 4.0.
type cardWriter struct {
	four bool
	b    []byte
}

// vcardLists are the properties of a card that are maps of entries: the line of each, and
// where its value stands in the entry.
var vcardLists = []struct{ property, line, value string }{
	{"nicknames", "NICKNAME", "name"}, {"emails", "EMAIL", "address"}, {"phones", "TEL", "number"}, {"titles", "TITLE", "name"},
	{"notes", "NOTE", "note"}, {"links", "URL", "uri"},
}

func (w *cardWriter) card(m values) []byte {
	w.b = append(w.b[:0], "BEGIN:VCARD\r\n"...)
	version := "3.0"
	if w.four {
		version = "4.0"
	}
	w.line("VERSION", version)
	text := func(name string) string { s, _ := m[name].(string); return s }
	w.line("UID", text("uid"))
	kind := "KIND"
	if !w.four {
		kind = "X-ADDRESSBOOKSERVER-KIND"
	}
	if k := text("kind"); w.four || k != "individual" {
		w.line(kind, k)
	}
	w.names(m)
	for _, l := range vcardLists {
		w.each(m, l.property, func(e map[string]any) {
			v, _ := e[l.value].(string)
			w.line(l.line+w.types(e), v)
		})
	}
	w.each(m, "organizations", func(e map[string]any) {
		v, _ := e["name"].(string)
		w.line("ORG", v)
	})
	w.each(m, "addresses", func(e map[string]any) {
		if full := addressText(e); full != "" {
			w.raw("ADR"+w.types(e), ";;"+escapeVCard(full)+";;;;")
		}
	})
	w.each(m, "anniversaries", w.anniversary)
	if words, _ := m["keywords"].(map[string]any); len(words) > 0 {
		var list []string
		for _, k := range sortedNames(words) {
			list = append(list, escapeVCard(k))
		}
		w.raw("CATEGORIES", strings.Join(list, ","))
	}
	member := "MEMBER"
	if !w.four {
		member = "X-ADDRESSBOOKSERVER-MEMBER"
	}
	members, _ := m["members"].(map[string]any)
	for _, uid := range sortedNames(members) {
		w.line(member, uid)
	}
	if at, err := time.Parse(time.RFC3339, text("updated")); err == nil {
		w.line("REV", at.UTC().Format("20060102T150405Z"))
	}
	return append(w.b, "END:VCARD\r\n"...)
}

// names writes FN and N; version 3.0 wants both.
func (w *cardWriter) names(m values) {
	full := cardName(m)
	if list := cardEmails(m); full == "" && len(list) > 0 {
		full = list[0]
	}
	if full == "" {
		full = "?"
	}
	w.line("FN", full)
	parts := map[string][]string{}
	name, _ := m["name"].(map[string]any)
	list, _ := name["components"].([]any)
	for _, c := range list {
		c, _ := c.(map[string]any)
		kind, _ := c["kind"].(string)
		if v, _ := c["value"].(string); v != "" {
			parts[kind] = append(parts[kind], v)
		}
	}
	if list == nil && w.four {
		return
	}
	if list == nil {
		parts["surname"] = []string{full}
	}
	var n []string
	for _, kind := range []string{"surname", "given", "given2", "title", "credential"} {
		n = append(n, escapeVCard(strings.Join(parts[kind], " ")))
	}
	w.raw("N", strings.Join(n, ";"))
}

func (w *cardWriter) anniversary(e map[string]any) {
	date, _ := e["date"].(map[string]any)
	y, _ := date["year"].(int64)
	mo, _ := date["month"].(int64)
	d, _ := date["day"].(int64)
	if e["kind"] != "birth" || y < 1 || y > 9999 || mo < 1 || mo > 12 || d < 1 || d > 31 {
		return
	}
	form := "%04d-%02d-%02d"
	if w.four {
		form = "%04d%02d%02d"
	}
	w.line("BDAY", fmt.Sprintf(form, y, mo, d))
}

// addressText is an address in one line.
func addressText(e map[string]any) string {
	if full, _ := e["full"].(string); full != "" {
		return full
	}
	var parts []string
	list, _ := e["components"].([]any)
	for _, c := range list {
		c, _ := c.(map[string]any)
		if v, _ := c["value"].(string); v != "" && c["kind"] != "separator" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, ", ")
}

// types are the parameters of an entry: where it is used, and whether first.
func (w *cardWriter) types(e map[string]any) string {
	var s string
	contexts, _ := e["contexts"].(map[string]any)
	for _, t := range []struct{ context, typ string }{{"private", "home"}, {"work", "work"}} {
		if contexts[t.context] == true {
			s += ";TYPE=" + t.typ
		}
	}
	switch pref, ok := e["pref"].(int64); {
	case ok && pref == 1 && !w.four:
		s += ";TYPE=pref"
	case ok && pref >= 1 && pref <= 100 && w.four:
		s += fmt.Sprintf(";PREF=%d", pref)
	}
	return s
}

func (w *cardWriter) each(m values, property string, f func(e map[string]any)) {
	all, _ := m[property].(map[string]any)
	for _, k := range sortedNames(all) {
		if e, ok := all[k].(map[string]any); ok {
			f(e)
		}
	}
}

// line writes a property with a text, if there is one.
func (w *cardWriter) line(name, text string) {
	if text != "" {
		w.raw(name, escapeVCard(text))
	}
}

// foldAt is how many octets a line has at most, RFC 6350 §3.2.
const foldAt = 75

// raw writes a content line, folded.
func (w *cardWriter) raw(name, value string) {
	line := name + ":" + value
	for room := foldAt; len(line) > room; room = foldAt - 1 {
		cut := room
		for cut > 1 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		w.b = append(append(w.b, line[:cut]...), "\r\n "...)
		line = line[cut:]
	}
	w.b = append(append(w.b, line...), "\r\n"...)
}

var vcardEscaper = strings.NewReplacer(`\`, `\\`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`, ",", `\,`, ";", `\;`)

// escapeVCard spells a text as a value, without what no line may hold.
func escapeVCard(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, vcardEscaper.Replace(s))
}
