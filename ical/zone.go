package ical

import (
	"strconv"
	"strings"
	"time"
)

// A zone is a VTIMEZONE, RFC 5545 §3.6.5.
type zone struct{ rules []observance }

// An observance is standard or daylight time: from when, and how it returns each year.
type observance struct {
	start time.Time // local
	to    time.Duration
	known bool // to was read
	rule  map[string]string
}

func (o *observance) take(ln *line) {
	switch ln.name {
	case "DTSTART":
		o.start, _ = time.Parse("20060102T150405", ln.value) // zero for what is none
	case "TZOFFSETTO":
		o.to, o.known = offset(ln.value)
	case "RRULE":
		o.rule = map[string]string{}
		for _, part := range strings.Split(strings.ToUpper(ln.value), ";") {
			if k, v, ok := strings.Cut(part, "="); ok && len(o.rule) < 16 {
				o.rule[k] = v
			}
		}
	}
}

// offset reads "+0100", RFC 5545 §3.3.14.
func offset(s string) (time.Duration, bool) {
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || n < 0 {
		return 0, false
	}
	if len(s) == 5 {
		n *= 100
	}
	d := time.Duration(n/10000)*time.Hour + time.Duration(n/100%100)*time.Minute + time.Duration(n%100)*time.Second
	if s[0] == '-' {
		d = -d
	}
	return d, true
}

// offset returns that of a local time: of the observance that began last before it.
func (z *zone) offset(t time.Time) (time.Duration, bool) {
	var best time.Time
	var to time.Duration
	found := false
	for i := range z.rules {
		o := &z.rules[i]
		if !o.known {
			continue
		}
		if at, ok := o.onset(t); ok && (!found || at.After(best)) {
			best, to, found = at, o.to, true
		}
	}
	if !found && len(z.rules) > 0 && z.rules[0].known { // before all that is told
		return z.rules[0].to, true
	}
	return to, found
}

// onset is the last time before t at which the observance began.
func (o *observance) onset(t time.Time) (time.Time, bool) {
	if o.rule == nil || o.rule["FREQ"] != "YEARLY" {
		return o.start, !o.start.After(t)
	}
	if until := o.rule["UNTIL"]; until != "" {
		if end := parseUTC(until); !end.IsZero() && t.After(end.AddDate(1, 0, 0)) {
			return time.Time{}, false
		}
	}
	for year := t.Year(); year >= t.Year()-1; year-- {
		if at, ok := o.inYear(year); ok && !at.After(t) && !at.Before(o.start) {
			return at, true
		}
	}
	return o.start, !o.start.After(t)
}

var weekdays = map[string]time.Weekday{"SU": 0, "MO": 1, "TU": 2, "WE": 3, "TH": 4, "FR": 5, "SA": 6}

// inYear is the day of a rule like FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU in a year.
func (o *observance) inYear(year int) (time.Time, bool) {
	month := o.start.Month()
	if m, err := strconv.Atoi(o.rule["BYMONTH"]); err == nil && m >= 1 && m <= 12 {
		month = time.Month(m)
	}
	at := time.Date(year, month, o.start.Day(), o.start.Hour(), o.start.Minute(), o.start.Second(), 0, time.UTC)
	day := o.rule["BYDAY"]
	if day == "" {
		return at, true
	}
	if len(day) < 2 {
		return at, false
	}
	wd, ok := weekdays[day[len(day)-2:]]
	n, err := strconv.Atoi(day[:len(day)-2])
	if !ok || err != nil || n == 0 || n > 5 || n < -5 {
		return at, false
	}
	if n > 0 {
		first := at.AddDate(0, 0, 1-at.Day())
		return first.AddDate(0, 0, (int(wd)-int(first.Weekday())+7)%7+7*(n-1)), true
	}
	last := at.AddDate(0, 0, 1-at.Day()).AddDate(0, 1, -1)
	return last.AddDate(0, 0, -((int(last.Weekday())-int(wd)+7)%7)+7*(n+1)), true
}
