// Package ical reads the invitations that come by mail (RFC 5545, RFC 5546), as much
// as a reader is shown, and writes the answers to them (RFC 6047).
//
// Guarantees: [Parse] never fails and is bounded by [Limits], whatever comes; what it
// does not understand it leaves out. [Invite.Reply] writes nothing that was not escaped.
// The package does no I/O and knows no time zones but those that come with an invitation.
package ical

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits bound what is read. Zero values take the defaults.
type Limits struct {
	Bytes     int // of the whole; 1 MB
	Attendees int // 500
	Text      int // bytes of one text; 16 kB
	Depth     int // of components; 8
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		v   *int
		def int
	}{{&l.Bytes, 1 << 20}, {&l.Attendees, 500}, {&l.Text, 16 << 10}, {&l.Depth, 8}} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
	return l
}

// An Invite is what a calendar message says of its first event.
type Invite struct {
	Method      string // REQUEST, CANCEL, REPLY and so on, RFC 5546 §1.4; "" if there is none
	UID         string
	Sequence    int
	Summary     string
	Description string
	Location    string
	Status      string // CONFIRMED, TENTATIVE, CANCELLED or ""
	URL         string
	Stamp       time.Time // zero if there is none
	Start, End  Moment
	Recurrence  string // RRULE as written
	// RecurrenceID names one event of a series, as written with its parameters.
	RecurrenceID string
	Organizer    Person
	Attendees    []Person

	recurrenceParams string
}

// A Moment is a date or a time.
type Moment struct {
	Local   string // 2026-11-26T10:00:00, or 2026-11-26 for a day
	Zone    string // TZID, "UTC", or "" for what has none
	AllDay  bool
	Instant time.Time // zero if it is not known: a day, a time without zone, a zone without rules
}

// A Person is an organizer or attendee.
type Person struct {
	Name, Email string
	Status      string // PARTSTAT, upper case; NEEDS-ACTION if not given
	Role        string // ROLE, upper case; REQ-PARTICIPANT if not given
	RSVP        bool   // an answer is wanted
}

// A line is one content line, RFC 5545 §3.1.
type line struct {
	name   string
	params map[string]string // values of one parameter joined by ","
	value  string
}

// Parse reads a calendar; ok is false if there is no event in it.
func Parse(data []byte, l Limits) (inv Invite, ok bool) {
	l = l.withDefaults()
	if len(data) > l.Bytes {
		data = data[:l.Bytes]
	}
	p := &parser{limits: l, zones: map[string]*zone{}}
	eachLine(strings.ToValidUTF8(string(data), "\ufffd"), l.Text, p.take)
	if !p.found {
		return inv, false
	}
	p.moments()
	return p.inv, p.inv.UID != "" || p.inv.Start.Local != ""
}

type parser struct {
	limits Limits
	inv    Invite
	open   []string // components
	found  bool     // an event has begun
	done   bool     // and ended
	start  *line
	end    *line
	length time.Duration
	zones  map[string]*zone
	zone   *zone // being read
	rule   *observance
}

func (p *parser) take(ln *line) {
	switch ln.name {
	case "BEGIN":
		if len(p.open) < p.limits.Depth {
			p.open = append(p.open, strings.ToUpper(ln.value))
			p.begin()
		}
		return
	case "END":
		p.close(strings.ToUpper(ln.value))
		return
	}
	switch p.within() {
	case "VCALENDAR":
		if ln.name == "METHOD" {
			p.inv.Method = strings.ToUpper(ln.value)
		}
	case "VEVENT":
		if !p.done {
			p.event(ln)
		}
	case "VTIMEZONE":
		if ln.name == "TZID" && p.zone != nil && len(p.zones) < 32 {
			p.zones[ln.value] = p.zone
		}
	case "STANDARD", "DAYLIGHT":
		if p.rule != nil {
			p.rule.take(ln)
		}
	}
}

func (p *parser) within() string {
	if len(p.open) == 0 {
		return ""
	}
	return p.open[len(p.open)-1]
}

func (p *parser) begin() {
	switch p.within() {
	case "VEVENT":
		p.found = true
	case "VTIMEZONE":
		p.zone = &zone{}
	case "STANDARD", "DAYLIGHT":
		if p.zone != nil && len(p.zone.rules) < 64 {
			p.zone.rules = append(p.zone.rules, observance{})
			p.rule = &p.zone.rules[len(p.zone.rules)-1]
		}
	}
}

// close ends components up to the one of that name.
func (p *parser) close(name string) {
	for i := len(p.open) - 1; i >= 0; i-- {
		if p.open[i] == name {
			p.open = p.open[:i]
			break
		}
	}
	switch name {
	case "VEVENT":
		p.done = p.found
	case "VTIMEZONE":
		p.zone = nil
	case "STANDARD", "DAYLIGHT":
		p.rule = nil
	}
}

func (p *parser) event(ln *line) {
	inv := &p.inv
	switch ln.name {
	case "UID":
		inv.UID = ln.value
	case "SEQUENCE":
		inv.Sequence, _ = strconv.Atoi(ln.value) // 0 for what is none
	case "SUMMARY":
		inv.Summary = text(ln.value)
	case "DESCRIPTION":
		inv.Description = text(ln.value)
	case "LOCATION":
		inv.Location = text(ln.value)
	case "STATUS":
		inv.Status = strings.ToUpper(ln.value)
	case "URL":
		inv.URL = ln.value
	case "DTSTAMP":
		inv.Stamp = parseUTC(ln.value)
	case "DTSTART":
		p.start = ln
	case "DTEND":
		p.end = ln
	case "DURATION":
		p.length = duration(ln.value)
	case "RRULE":
		inv.Recurrence = ln.value
	case "RECURRENCE-ID":
		inv.RecurrenceID = ln.value
		if z := ln.params["TZID"]; z != "" {
			inv.recurrenceParams = ";TZID=" + quoted(z)
		} else if strings.EqualFold(ln.params["VALUE"], "DATE") {
			inv.recurrenceParams = ";VALUE=DATE"
		}
	case "ORGANIZER":
		inv.Organizer = person(ln)
	case "ATTENDEE":
		if len(inv.Attendees) < p.limits.Attendees {
			inv.Attendees = append(inv.Attendees, person(ln))
		}
	}
}

// moments reads the times, now that all zones are known.
func (p *parser) moments() {
	if p.start == nil {
		return
	}
	p.inv.Start = p.moment(p.start)
	switch s := p.inv.Start; {
	case p.end != nil:
		p.inv.End = p.moment(p.end)
	case p.length > 0:
		at, layout, err := parseLocal(s.Local)
		if err == nil {
			p.inv.End = Moment{Local: at.Add(p.length).Format(layout), Zone: s.Zone, AllDay: s.AllDay}
			if !s.Instant.IsZero() {
				p.inv.End.Instant = s.Instant.Add(p.length)
			}
		}
	}
}

const (
	localTime = "2006-01-02T15:04:05"
	localDate = "2006-01-02"
)

func parseLocal(s string) (time.Time, string, error) {
	if len(s) == len(localDate) {
		t, err := time.Parse(localDate, s)
		return t, localDate, err
	}
	t, err := time.Parse(localTime, s)
	return t, localTime, err
}

func (p *parser) moment(ln *line) Moment {
	if t, err := time.Parse("20060102", ln.value); err == nil {
		return Moment{Local: t.Format(localDate), AllDay: true}
	}
	if t := parseUTC(ln.value); !t.IsZero() {
		return Moment{Local: t.Format(localTime), Zone: "UTC", Instant: t}
	}
	t, err := time.Parse("20060102T150405", ln.value)
	if err != nil {
		return Moment{}
	}
	m := Moment{Local: t.Format(localTime), Zone: ln.params["TZID"]}
	if z := p.zones[m.Zone]; z != nil {
		if off, known := z.offset(t); known {
			m.Instant = t.Add(-off)
		}
	}
	return m
}

func parseUTC(s string) time.Time {
	t, err := time.Parse("20060102T150405Z", s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// person reads ORGANIZER and ATTENDEE.
func person(ln *line) Person {
	email := ln.value
	if len(email) > 7 && strings.EqualFold(email[:7], "mailto:") {
		email = email[7:]
	} else if e := ln.params["EMAIL"]; e != "" {
		email = e
	}
	if !strings.Contains(email, "@") || len(email) > 320 || strings.ContainsAny(email, " \t\r\n<>,;\"") {
		email = ""
	}
	p := Person{Name: ln.params["CN"], Email: email, Status: strings.ToUpper(ln.params["PARTSTAT"]), Role: strings.ToUpper(ln.params["ROLE"]),
		RSVP: strings.EqualFold(ln.params["RSVP"], "TRUE")}
	if p.Status == "" {
		p.Status = "NEEDS-ACTION"
	}
	if p.Role == "" {
		p.Role = "REQ-PARTICIPANT"
	}
	return p
}

// duration reads "P1DT2H" and the like, RFC 5545 §3.3.6; 0 for what is none.
func duration(s string) time.Duration {
	s = strings.TrimPrefix(strings.ToUpper(s), "+")
	if !strings.HasPrefix(s, "P") {
		return 0
	}
	units := map[rune]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour, 'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	var sum time.Duration
	n := 0
	for _, r := range s[1:] {
		switch u := units[r]; {
		case '0' <= r && r <= '9' && n < 100_000:
			n = n*10 + int(r-'0')
		case r == 'T':
		case u != 0:
			sum += time.Duration(n) * u
			n = 0
		default:
			return 0
		}
		if sum > 10*366*24*time.Hour {
			return 0
		}
	}
	return sum
}

// eachLine calls f with each content line, unfolded.
func eachLine(s string, most int, f func(*line)) {
	for len(s) > 0 {
		var text string
		text, s = cut(s)
		var more strings.Builder
		for strings.HasPrefix(s, " ") || strings.HasPrefix(s, "\t") {
			var part string
			if part, s = cut(s); more.Len() < most {
				more.WriteString(part[1:])
			}
		}
		if text += more.String(); len(text) > most {
			text = strings.ToValidUTF8(text[:most], "")
		}
		if ln, ok := parseLine(text); ok {
			f(ln)
		}
	}
}

func cut(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

func parseLine(s string) (*line, bool) {
	ln := &line{params: map[string]string{}}
	i := strings.IndexAny(s, ";:")
	if i <= 0 {
		return nil, false
	}
	ln.name = strings.ToUpper(s[:i])
	for s = s[i:]; strings.HasPrefix(s, ";") && len(ln.params) < 32; {
		name, rest, ok := strings.Cut(s[1:], "=")
		if !ok || strings.ContainsAny(name, ";:\"") {
			return nil, false
		}
		value := ""
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, false
			}
			value, rest = rest[1:end+1], rest[end+2:]
		}
		end := strings.IndexAny(rest, ";:")
		if end < 0 {
			return nil, false
		}
		ln.params[strings.ToUpper(name)] = unescapeParam(value + rest[:end])
		s = rest[end:]
	}
	if !strings.HasPrefix(s, ":") {
		return nil, false
	}
	ln.value = strings.TrimSpace(s[1:])
	return ln, true
}

// unescapeParam undoes RFC 6868 §3.
func unescapeParam(s string) string {
	return strings.NewReplacer("^n", "\n", "^'", `"`, "^^", "^").Replace(s)
}

// text undoes the escapes of RFC 5545 §3.3.11.
func text(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";").Replace(s)
}

// escaped is the other way round. Control characters go.
func escaped(s string) string {
	s = strings.NewReplacer(`\`, `\\`, "\r\n", `\n`, "\n", `\n`, ",", `\,`, ";", `\;`).Replace(s)
	return plain(s)
}

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}

// quoted is a parameter's value, RFC 5545 §3.2.
func quoted(s string) string { return `"` + plain(strings.ReplaceAll(s, `"`, "^'")) + `"` }
