package wire

import (
	"strings"
	"time"
)

var months = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// DateTime reads a date-time, RFC 9051 §9: "17-Jul-1996 02:44:25 -0700", with a
// day of one digit behind a space or, as some clients write it, alone.
func (d *Decoder) DateTime() time.Time {
	s := d.quoted()
	if d.err != nil {
		return time.Time{}
	}
	for _, layout := range []string{"_2-Jan-2006 15:04:05 -0700", "02-Jan-2006 15:04:05 -0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	d.Bad("bad date-time")
	return time.Time{}
}

// Date reads a date without time, quoted or not, as midnight UTC.
func (d *Decoder) Date() time.Time {
	s := d.Astring()
	if d.err != nil {
		return time.Time{}
	}
	t, err := time.Parse("2-Jan-2006", strings.TrimSpace(s))
	if err != nil {
		d.Bad("bad date")
	}
	return t
}

// AppendDateTime appends t, seconds since 1970, as a quoted date-time in UTC.
func AppendDateTime(dst []byte, unix int64) []byte {
	days, sec := unix/86400, unix%86400
	if sec < 0 {
		days, sec = days-1, sec+86400
	}
	year, month, day := civil(days)
	if year < 0 || year > 9999 { // the grammar has four digits
		year = 0
	}
	h, m, s := byte(sec/3600), byte(sec/60%60), byte(sec%60)
	dst = append(dst, '"', '0'+byte(day/10), '0'+byte(day%10), '-')
	if day < 10 {
		dst[len(dst)-3] = ' '
	}
	dst = append(dst, months[month-1]...)
	return append(dst, '-', '0'+byte(year/1000), '0'+byte(year/100%10), '0'+byte(year/10%10), '0'+byte(year%10), ' ',
		'0'+h/10, '0'+h%10, ':', '0'+m/10, '0'+m%10, ':', '0'+s/10, '0'+s%10,
		' ', '+', '0', '0', '0', '0', '"')
}

// civil turns days since 1970 into a date of the proleptic Gregorian calendar
// (Hinnant's algorithm: a few divisions instead of time.Time's table walks).
func civil(days int64) (year, month, day int) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if mp >= 10 {
		month = int(mp - 9)
	}
	year = int(yoe + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}
