package jmap

import (
	"io"
	"mime/quotedprintable"
	"strconv"
	"strings"
	"time"
)

// parseVCards reads the cards of a vCard file (RFC 6350, and the older versions 2.1 and
// 3.0 that programs export) as JSContact cards; at most most of them. What it does not
// know, and pictures, it leaves out. It never fails: what is no card is none.
func parseVCards(data []byte, most int) (cards []values, more bool) {
	var c *card
	vcardLines(string(data), func(l vcardLine) bool {
		switch {
		case l.name == "BEGIN" && strings.EqualFold(l.value, "VCARD"):
			c = &card{values: values{}, counts: map[string]int{}}
		case c == nil:
		case l.name == "END" && strings.EqualFold(l.value, "VCARD"):
			if len(cards) == most {
				more = true
				return false
			}
			if c.finish(); len(c.values) > 0 {
				cards = append(cards, c.values)
			}
			c = nil
		default:
			c.take(&l)
		}
		return true
	})
	return cards, more
}

// A vcardLine is one content line: "group.NAME;PARAM=a,b:value".
type vcardLine struct {
	name   string // upper case, without group
	params map[string][]string
	value  string // as it stands
}

// Bounds of one line and one card.
const (
	vcardLineBytes = 1 << 20
	vcardEntries   = 100 // of one kind
	vcardText      = 8 << 10
)

// vcardLines calls f with each content line, unfolded, until it returns false.
func vcardLines(text string, f func(l vcardLine) bool) {
	for len(text) > 0 {
		line := ""
		line, text = cutLine(text)
		for len(line) < vcardLineBytes && (strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t")) {
			more := ""
			more, text = cutLine(text)
			line += more[1:]
		}
		l, ok := parseVCardLine(line)
		if !ok {
			continue
		}
		if strings.EqualFold(first(l.params["ENCODING"]), "QUOTED-PRINTABLE") {
			for strings.HasSuffix(l.value, "=") && text != "" && len(l.value) < vcardLineBytes { // soft breaks of version 2.1
				more := ""
				more, text = cutLine(text)
				l.value = l.value[:len(l.value)-1] + more
			}
			b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(l.value)))
			if err != nil {
				continue
			}
			l.value = string(b)
		}
		if !f(l) {
			return
		}
	}
}

func cutLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func parseVCardLine(s string) (l vcardLine, ok bool) {
	end, quoted := -1, false
	for i := 0; i < len(s) && end < 0; i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				end = i
			}
		}
	}
	if end <= 0 {
		return l, false
	}
	l.value = strings.ToValidUTF8(s[end+1:], "\ufffd")
	parts := strings.Split(s[:end], ";")
	l.name = strings.ToUpper(parts[0])
	if _, name, grouped := strings.Cut(l.name, "."); grouped {
		l.name = name
	}
	l.params = map[string][]string{}
	for _, p := range parts[1:min(len(parts), 32)] {
		k, v, given := strings.Cut(p, "=")
		if !given { // version 2.1 writes TEL;HOME
			k, v = "TYPE", p
		}
		k = strings.ToUpper(k)
		for _, one := range strings.Split(strings.Trim(v, `"`), ",") {
			l.params[k] = append(l.params[k], strings.ToLower(one))
		}
	}
	return l, true
}

// A card is one that is read.
type card struct {
	values
	counts map[string]int
}

// vcardProperties says what becomes of each property.
var vcardProperties = map[string]func(c *card, l *vcardLine, v string){
	"UID":  func(c *card, _ *vcardLine, v string) { c.values["uid"] = v },
	"KIND": func(c *card, _ *vcardLine, v string) { c.values["kind"] = strings.ToLower(v) },
	"FN":   func(c *card, _ *vcardLine, v string) { c.name()["full"] = v },
	"N": func(c *card, l *vcardLine, _ string) {
		var list []any
		parts := structured(l.value)
		for _, k := range []struct {
			i    int
			kind string
		}{{3, "title"}, {1, "given"}, {2, "given2"}, {0, "surname"}, {4, "credential"}} {
			if k.i < len(parts) && parts[k.i] != "" {
				list = append(list, map[string]any{"kind": k.kind, "value": parts[k.i]})
			}
		}
		if list != nil {
			c.name()["components"] = list
		}
	},
	"NICKNAME": func(c *card, _ *vcardLine, v string) { c.add("nicknames", map[string]any{"name": v}, nil) },
	"EMAIL": func(c *card, l *vcardLine, v string) {
		c.add("emails", map[string]any{"address": strings.TrimPrefix(v, "mailto:")}, l)
	},
	"TEL": func(c *card, l *vcardLine, v string) {
		c.add("phones", map[string]any{"number": strings.TrimPrefix(v, "tel:")}, l)
	},
	"ORG": func(c *card, l *vcardLine, _ string) {
		if parts := structured(l.value); len(parts) > 0 && parts[0] != "" {
			c.add("organizations", map[string]any{"name": parts[0]}, nil)
		}
	},
	"TITLE": func(c *card, _ *vcardLine, v string) { c.add("titles", map[string]any{"name": v}, nil) },
	"NOTE":  func(c *card, _ *vcardLine, v string) { c.add("notes", map[string]any{"note": v}, nil) },
	"URL":   func(c *card, _ *vcardLine, v string) { c.add("links", map[string]any{"uri": v}, nil) },
	"BDAY": func(c *card, _ *vcardLine, v string) {
		if at, err := time.Parse("20060102", strings.ReplaceAll(v, "-", "")); err == nil {
			c.add("anniversaries", map[string]any{"kind": "birth", "date": map[string]any{"year": int64(at.Year()), "month": int64(at.Month()), "day": int64(at.Day())}}, nil)
		}
	},
	"ADR": func(c *card, l *vcardLine, _ string) {
		if full := strings.Join(strings.FieldsFunc(strings.Join(structured(l.value), "\n"), func(r rune) bool { return r == '\n' }), ", "); full != "" {
			c.add("addresses", map[string]any{"full": full}, l)
		}
	},
	"CATEGORIES": func(c *card, l *vcardLine, _ string) {
		for _, k := range splitVCard(l.value, ',', vcardEntries) {
			c.mark("keywords", k)
		}
	},
	"MEMBER":                     func(c *card, _ *vcardLine, v string) { c.mark("members", v) },
	"X-ADDRESSBOOKSERVER-KIND":   func(c *card, _ *vcardLine, v string) { c.values["kind"] = strings.ToLower(v) },
	"X-ADDRESSBOOKSERVER-MEMBER": func(c *card, _ *vcardLine, v string) { c.mark("members", v) },
}

func (c *card) take(l *vcardLine) {
	f := vcardProperties[l.name]
	v := strings.TrimSpace(unescapeVCard(l.value))
	if f == nil || v == "" || len(l.value) > vcardText {
		return
	}
	f(c, l, v)
}

func (c *card) name() map[string]any {
	n, _ := c.values["name"].(map[string]any)
	if n == nil {
		n = map[string]any{}
		c.values["name"] = n
	}
	return n
}

// add puts an entry into a map of the card, with what the line says of it.
func (c *card) add(property string, entry map[string]any, l *vcardLine) {
	if c.counts[property] == vcardEntries {
		return
	}
	c.counts[property]++
	if l != nil {
		contexts := map[string]any{}
		if n, err := strconv.Atoi(first(l.params["PREF"])); err == nil && n >= 1 && n <= 100 {
			entry["pref"] = int64(n)
		}
		for _, t := range l.params["TYPE"] {
			switch t {
			case "home":
				contexts["private"] = true
			case "work":
				contexts["work"] = true
			case "pref":
				entry["pref"] = int64(1)
			}
		}
		if len(contexts) > 0 {
			entry["contexts"] = contexts
		}
	}
	all, _ := c.values[property].(map[string]any)
	if all == nil {
		all = map[string]any{}
		c.values[property] = all
	}
	all[property[:1]+strconv.Itoa(c.counts[property])] = entry
}

// mark puts a word into a set of the card.
func (c *card) mark(property, word string) {
	if word = strings.TrimSpace(word); word == "" || c.counts[property] == 10*vcardEntries {
		return
	}
	c.counts[property]++
	all, _ := c.values[property].(map[string]any)
	if all == nil {
		all = map[string]any{}
		c.values[property] = all
	}
	all[word] = true
}

// finish gives a card without a name one.
func (c *card) finish() {
	if len(c.values) > 0 && cardName(c.values) == "" {
		if list := cardEmails(c.values); len(list) > 0 {
			c.name()["full"] = list[0]
		}
	}
}

// structured splits a value at its semicolons.
func structured(v string) []string { return splitVCard(v, ';', 16) }

// splitVCard splits a value where sep is not escaped, into most parts at most.
func splitVCard(v string, sep byte, most int) []string {
	var out []string
	start := 0
	for i := 0; i <= len(v); i++ {
		switch {
		case i == len(v) || v[i] == sep:
			if out = append(out, strings.TrimSpace(unescapeVCard(v[start:i]))); len(out) == most {
				return out
			}
			start = i + 1
		case v[i] == '\\':
			i++
		}
	}
	return out
}

var vcardEscapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\:`, ":")

func unescapeVCard(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return vcardEscapes.Replace(s)
}
