package jmap

import (
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"posthouse/jmap/wire"
	"posthouse/message"
)

// convenience are the properties of RFC 8621 §4.1.3 that stand for header fields.
var convenience = []struct{ name, typ, field, form string }{
	{"messageId", "String[]|null", "Message-ID", "asMessageIds"},
	{"inReplyTo", "String[]|null", "In-Reply-To", "asMessageIds"},
	{"references", "String[]|null", "References", "asMessageIds"},
	{"sender", "EmailAddress[]|null", "Sender", "asAddresses"},
	{"from", "EmailAddress[]|null", "From", "asAddresses"},
	{"to", "EmailAddress[]|null", "To", "asAddresses"},
	{"cc", "EmailAddress[]|null", "Cc", "asAddresses"},
	{"bcc", "EmailAddress[]|null", "Bcc", "asAddresses"},
	{"replyTo", "EmailAddress[]|null", "Reply-To", "asAddresses"},
	{"subject", "String|null", "Subject", "asText"},
}

// A headerForm is one of the parsed forms of RFC 8621 §4.1.2.
type headerForm struct {
	typ   string
	read  func(raw []byte) any
	write func(e *message.Entity, name string, v any)
	// fields that may be read in this form; those that no standard defines may always.
	fields []string
}

var addressFields = []string{"from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc", "resent-bcc"}

var headerForms = map[string]headerForm{
	"asRaw":              {"String", readRaw, writeRaw, nil},
	"asText":             {"String", readText, func(e *message.Entity, name string, v any) { e.Set(name, v.(string)) }, []string{"subject", "comments", "keywords"}},
	"asAddresses":        {"EmailAddress[]", readAddresses, writeAddresses, addressFields},
	"asGroupedAddresses": {"EmailAddressGroup[]", readGroups, writeGroups, addressFields},
	"asMessageIds":       {"String[]|null", readMessageIDs, writeMessageIDs, []string{"message-id", "in-reply-to", "references", "resent-message-id"}},
	"asDate":             {"Date|null", readDate, writeDate, []string{"date", "resent-date"}},
	"asURLs":             {"String[]|null", readURLs, writeURLs, []string{"list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive"}},
}

// standardFields are those of RFC 5322 and RFC 2369: each may be read only in the
// forms that name it, and as it is.
var standardFields = standardFieldSet()

func standardFieldSet() map[string]bool {
	set := map[string]bool{"received": true, "return-path": true}
	for _, f := range headerForms {
		for _, name := range f.fields {
			set[name] = true
		}
	}
	return set
}

// headerProperty returns the property "header:Name[:form][:all]", nil if it is none.
func headerProperty(name string) *property {
	parts := strings.Split(name, ":")
	if len(parts) < 2 || len(parts) > 4 || parts[0] != "header" || !isFieldName(parts[1]) {
		return nil
	}
	form, all := "asRaw", false
	rest := parts[2:]
	if len(rest) > 0 && rest[len(rest)-1] == "all" {
		all, rest = true, rest[:len(rest)-1]
	}
	if len(rest) == 1 {
		form = rest[0]
	} else if len(rest) > 1 {
		return nil
	}
	f, known := headerForms[form]
	field := strings.ToLower(parts[1])
	if !known || form != "asRaw" && standardFields[field] && !contains(f.fields, field) {
		return nil
	}
	typ := f.typ
	switch {
	case all:
		typ = strings.TrimSuffix(typ, "|null") + "[]"
		if strings.HasSuffix(f.typ, "|null") {
			typ = "Any[]"
		}
	case !strings.HasSuffix(typ, "|null"):
		typ += "|null"
	}
	p := &property{name: name, typ: typ, mode: immutable | optional | onRequest, get: headerGetter(parts[1], form, all)}
	p.check = wire.CompileType(typ, structs)
	return p
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// headerGetter reads the last field of a name, or all, in a form.
func headerGetter(field, form string, all bool) func(*getter, any) (any, error) {
	return func(g *getter, rec any) (any, error) {
		h, err := rec.(*email).headerOf(g, 0)
		if err != nil {
			return nil, err
		}
		return readField(h, field, form, all), nil
	}
}

func readField(h *message.Header, field, form string, all bool) any {
	var values []any
	read := headerForms[form].read
	for name, raw := range h.Unparsed() {
		if strings.EqualFold(name, field) {
			if !all {
				values = values[:0]
			}
			values = append(values, raw)
		}
	}
	if all {
		out := make([]any, len(values))
		for i, v := range values {
			out[i] = read(v.([]byte))
		}
		return out
	}
	if len(values) == 0 {
		return nil
	}
	return read(values[0].([]byte))
}

// readRaw: 8-bit bytes are taken for UTF-8, NUL is left out (RFC 8621 §4.1.2.1).
func readRaw(raw []byte) any {
	return strings.ReplaceAll(strings.ToValidUTF8(string(raw), "\uFFFD"), "\x00", "")
}

func readText(raw []byte) any {
	return norm.NFC.String(strings.TrimLeft(message.DecodeHeader(raw), " \t"))
}

func addressObject(m message.Mailbox) wire.Object {
	return wire.Object{{Name: "name", Value: textOrNull(norm.NFC.String(strings.TrimSpace(m.Name)))}, {Name: "email", Value: m.Address.String()}}
}

func readAddresses(raw []byte) any {
	list := []wire.Object{}
	for _, m := range message.ParseAddresses(raw, 0) {
		if !m.Group {
			list = append(list, addressObject(m))
		}
	}
	return list
}

func readGroups(raw []byte) any {
	list := []wire.Object{}
	for _, g := range message.ParseGroups(raw, 0) {
		members := []wire.Object{}
		for _, m := range g.Members {
			members = append(members, addressObject(m))
		}
		var name any
		if g.Named {
			name = g.Name
		}
		list = append(list, wire.Object{{Name: "name", Value: name}, {Name: "addresses", Value: members}})
	}
	return list
}

func readMessageIDs(raw []byte) any {
	if ids := message.AppendMessageIDs(nil, raw, 1000); len(ids) > 0 {
		return ids
	}
	return nil
}

func readDate(raw []byte) any {
	t, ok := message.ParseDate(raw)
	if !ok || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return spellDate(t)
}

// spellDate is RFC 3339 with the time's own zone, "Z" for UTC.
func spellDate(t time.Time) string { return t.Format(time.RFC3339) }

// readURLs reads the URLs of RFC 2369 fields.
func readURLs(raw []byte) any {
	var urls []string
	rest := string(raw)
	for {
		_, after, open := strings.Cut(rest, "<")
		url, next, shut := strings.Cut(after, ">")
		if !open || !shut {
			break
		}
		url = strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, url)
		if url != "" {
			urls = append(urls, url)
		}
		rest = next
	}
	if urls == nil {
		return nil
	}
	return urls
}

// allHeaders is the property "headers".
func allHeaders(g *getter, e *email) (any, error) {
	h, err := e.headerOf(g, 0)
	if err != nil {
		return nil, err
	}
	return headerList(h), nil
}

func headerList(h *message.Header) []wire.Object {
	list := []wire.Object{}
	for name, raw := range h.Unparsed() {
		list = append(list, wire.Object{{Name: "name", Value: name}, {Name: "value", Value: readRaw(raw)}})
	}
	return list
}
