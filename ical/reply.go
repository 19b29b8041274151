package ical

import (
	"strconv"
	"strings"
	"time"
)

// Answers of [Invite.Reply], RFC 5545 §3.2.12.
const (
	Accepted  = "ACCEPTED"
	Tentative = "TENTATIVE"
	Declined  = "DECLINED"
)

// Reply returns the calendar that answers an invitation, RFC 5546 §3.2.3: who says
// what, with a comment or "".
func (inv *Invite) Reply(who Person, answer, comment string, now time.Time) []byte {
	var b []byte
	add := func(name, value string) { b = appendFolded(b, name+":"+value) }
	add("BEGIN", "VCALENDAR")
	add("VERSION", "2.0")
	add("PRODID", "-//Posthouse//Mail//EN")
	add("METHOD", "REPLY")
	add("BEGIN", "VEVENT")
	add("UID", plain(inv.UID))
	add("SEQUENCE", strconv.Itoa(inv.Sequence))
	add("DTSTAMP", now.UTC().Format("20060102T150405Z"))
	if inv.RecurrenceID != "" {
		add("RECURRENCE-ID"+inv.recurrenceParams, plain(inv.RecurrenceID))
	}
	if inv.Organizer.Email != "" {
		add("ORGANIZER"+named(inv.Organizer.Name), "mailto:"+inv.Organizer.Email)
	}
	add("ATTENDEE;PARTSTAT="+answer+named(who.Name), "mailto:"+who.Email)
	if inv.Summary != "" {
		add("SUMMARY", escaped(inv.Summary))
	}
	if comment != "" {
		add("COMMENT", escaped(comment))
	}
	add("END", "VEVENT")
	add("END", "VCALENDAR")
	return b
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return ";CN=" + quoted(strings.ReplaceAll(name, "^", "^^"))
}

// appendFolded appends a content line, folded at 75 octets, RFC 5545 §3.1.
func appendFolded(dst []byte, s string) []byte {
	room := 75
	for _, r := range s {
		n := len(string(r))
		if room < n {
			dst = append(dst, "\r\n "...)
			room = 74
		}
		dst = append(dst, string(r)...)
		room -= n
	}
	return append(dst, "\r\n"...)
}
