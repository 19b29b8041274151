package message

import "time"

// ParseDate parses a date-time of RFC 5322 §3.3 with the obsolete forms of §4.3
// and what mailers make of it: no weekday or a wrong one, names in full, dashes,
// years of two digits, no seconds, no zone (taken for UTC), the order of ctime.
func ParseDate(v []byte) (t time.Time, ok bool) {
	d := dateParser{lexer: lexer{b: v}}
	for n := 0; n < 16 && d.more(); n++ {
		d.token()
	}
	return d.time()
}

// A dateParser collects the elements of a date in whatever order they stand.
type dateParser struct {
	lexer
	day, month, year int
	hour, min, sec   int
	offset           int // seconds east of UTC
	hasTime, hasYear bool
	hasZone          bool
	pm               int // 1 am, 2 pm
}

func (d *dateParser) token() {
	d.skip()
	c := d.peek()
	switch {
	case !d.more():
	case c >= '0' && c <= '9':
		d.number()
	case (c == '+' || c == '-') && d.hasTime && !d.hasZone && d.i+1 < len(d.b) && isDigit(d.b[d.i+1]):
		d.i++
		d.zone(c == '-')
	case isLetter(c):
		d.word()
	default:
		d.i++
	}
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }

// digits reads a number and how many digits it had; it stops counting at nine.
func (d *dateParser) digits() (v, n int) {
	for ; d.more() && isDigit(d.peek()); d.i++ {
		if n < 9 {
			v = v*10 + int(d.peek()-'0')
			n++
		}
	}
	return v, n
}

// number reads a day, a year or a time of day.
func (d *dateParser) number() {
	v, n := d.digits()
	d.skip()
	if c := d.peek(); (c == ':' || c == '.' && d.month > 0 && d.day > 0 && n <= 2) && !d.hasTime {
		d.clock(v)
		return
	}
	switch {
	case n >= 4 && !d.hasYear:
		d.year, d.hasYear = v, true
	case d.day == 0 && v <= 31:
		d.day = v
	case !d.hasYear:
		d.year, d.hasYear = v, true
		if n == 3 || v >= 50 && v < 100 { // RFC 5322 §4.3
			d.year += 1900
		} else if v < 50 {
			d.year += 2000
		}
	}
}

// clock reads the minutes and seconds behind the hour.
func (d *dateParser) clock(hour int) {
	sep := d.peek()
	d.hour, d.hasTime = hour, true
	d.i++
	d.skip()
	d.min, _ = d.digits()
	if d.skip(); d.peek() == sep {
		d.i++
		d.skip()
		d.sec, _ = d.digits()
		if d.peek() == '.' { // fractions of a second
			d.i++
			d.digits()
		}
	}
}

// zone reads the digits of a numeric zone: hhmm, hh:mm or hh.
func (d *dateParser) zone(west bool) {
	v, n := d.digits()
	if d.peek() == ':' && n <= 2 {
		d.i++
		m, _ := d.digits()
		v, n = v*100+m, 4
	}
	if n <= 2 {
		v *= 100
	}
	if v/100 > 24 || v%100 > 59 {
		return
	}
	d.offset, d.hasZone = (v/100*60+v%100)*60, true
	if west {
		d.offset = -d.offset
	}
}

// word reads a name of a month or weekday, or a zone.
func (d *dateParser) word() {
	start := d.i
	for d.more() && isLetter(d.peek()) {
		d.i++
	}
	w := d.b[start:d.i]
	if len(w) >= 3 && d.month == 0 {
		var key [3]byte
		for i := range key {
			key[i] = lower(w[i])
		}
		if m := monthNumbers[string(key[:])]; m > 0 {
			d.month = m
			return
		}
	}
	switch {
	case len(w) == 2 && lower(w[1]) == 'm' && (lower(w[0]) == 'a' || lower(w[0]) == 'p') && d.hasTime:
		d.pm = 1 + b2i(lower(w[0]) == 'p')
	case d.hasTime && !d.hasZone && len(w) <= 4:
		d.namedZone(w)
	}
}

var monthNumbers = map[string]int{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7,
	"aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}

// zoneHours are the zones of RFC 5322 §4.3, and some more that are in use, as
// hours east of UTC. Military letters are UTC: RFC 822 had them backwards.
var zoneHours = map[string]int{"ut": 0, "utc": 0, "gmt": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5,
	"mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "wet": 0, "west": 1, "bst": 1, "cet": 1, "met": 1,
	"cest": 2, "mest": 2, "eet": 2, "eest": 3, "msk": 3, "jst": 9, "kst": 9}

func (d *dateParser) namedZone(w []byte) {
	var buf [4]byte
	n := copy(buf[:], w)
	for i := range buf[:n] {
		buf[i] = lower(buf[i])
	}
	h, known := zoneHours[string(buf[:n])]
	if c := d.peek(); known && h == 0 && (c == '+' || c == '-') && d.i+1 < len(d.b) && isDigit(d.b[d.i+1]) {
		return // "GMT+0200": the numbers count
	}
	if known || len(w) == 1 {
		d.offset, d.hasZone = h*3600, true
	}
}

// time puts the elements together.
func (d *dateParser) time() (time.Time, bool) {
	if d.day < 1 || d.month == 0 || !d.hasYear || d.year < 1 || d.year > 9999 ||
		d.hour > 24 || d.min > 59 || d.sec > 60 {
		return time.Time{}, false
	}
	switch {
	case d.pm == 2 && d.hour < 12:
		d.hour += 12
	case d.pm == 1 && d.hour == 12:
		d.hour = 0
	}
	if last := time.Date(d.year, time.Month(d.month)+1, 0, 0, 0, 0, 0, time.UTC).Day(); d.day > last {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.offset != 0 {
		loc = time.FixedZone("", d.offset)
	}
	return time.Date(d.year, time.Month(d.month), d.day, d.hour, d.min, min(d.sec, 59), 0, loc), true
}
