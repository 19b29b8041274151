package jmap

import (
	"fmt"
	"slices"
	"strings"

	"posthouse/mail"
	"posthouse/message"
)

// The writers of header forms.

func writeRaw(e *message.Entity, name string, v any) {
	s, _ := v.(string)
	if s == "" || s[0] != ' ' {
		s = " " + s
	}
	e.SetUnparsed(name, strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n"))
}

// addressOf reads an EmailAddress.
func addressOf(m map[string]any) (message.Mailbox, bool) {
	name, _ := m["name"].(string)
	text, ok := m["email"].(string)
	list := message.ParseAddresses([]byte(text), 2)
	if !ok || len(list) != 1 || list[0].Group || list[0].Address.Domain == "" {
		return message.Mailbox{Name: name, Address: mail.Address{Local: strings.TrimSpace(text)}}, false
	}
	return message.Mailbox{Name: name, Address: list[0].Address}, true
}

func writeAddresses(e *message.Entity, name string, v any) {
	var list []message.Mailbox
	for _, a := range v.([]any) {
		m, _ := addressOf(a.(map[string]any))
		if m.Address.Local != "" || m.Name != "" {
			list = append(list, m)
		}
	}
	if len(list) > 0 {
		e.SetAddresses(name, list...)
	}
}

func writeGroups(e *message.Entity, name string, v any) {
	var list []message.Mailbox
	groups := v.([]any)
	// What is in no group comes first: a group runs to the next or the end.
	slices.SortStableFunc(groups, func(a, b any) int {
		an, bn := a.(map[string]any)["name"] != nil, b.(map[string]any)["name"] != nil
		switch {
		case an == bn:
			return 0
		case bn:
			return -1
		}
		return 1
	})
	for _, g := range groups {
		gm := g.(map[string]any)
		if n, named := gm["name"].(string); named {
			list = append(list, message.Mailbox{Name: n, Group: true})
		}
		members, _ := gm["addresses"].([]any)
		for _, a := range members {
			m, _ := addressOf(a.(map[string]any))
			list = append(list, m)
		}
	}
	if len(list) > 0 {
		e.SetAddresses(name, list...)
	}
}

func writeMessageIDs(e *message.Entity, name string, v any) {
	var ids []string
	for _, id := range stringsOf(v) {
		if id = strings.Trim(id, "<>"); id != "" && !strings.ContainsAny(id, "<> \t\r\n") {
			ids = append(ids, "<"+id+">")
		}
	}
	if len(ids) > 0 {
		e.SetRaw(name, strings.Join(ids, " "))
	}
}

func writeDate(e *message.Entity, name string, v any) {
	if t := dateOf(v); !t.IsZero() {
		e.SetDate(name, t)
	}
}

func writeURLs(e *message.Entity, name string, v any) {
	var urls []string
	for _, u := range stringsOf(v) {
		if !strings.ContainsAny(u, "<> \t\r\n") {
			urls = append(urls, fmt.Sprintf("<%s>", u))
		}
	}
	e.SetRaw(name, strings.Join(urls, ", "))
}
