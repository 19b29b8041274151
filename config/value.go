package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Off is the value of a limit that is switched off, written 0 or "off".
const Off = -1

// A Count is a number of things, or Off.
type Count int64

// A Size is a number of bytes, or Off. kB, MB and GB count in 1024s.
type Size int64

// A Duration is a time, or Off.
type Duration time.Duration

const day = 24 * time.Hour

// parse reads 20, "20" or "off".
func (c *Count) parse(s string) error {
	if isOff(s) {
		*c = Off
		return nil
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil || n < 0 || n > 1<<31-1 {
		return errValue(s, "a whole number, or 0 or \"off\"")
	}
	*c = Count(n)
	return nil
}

// parse reads 4096, "4 kB", "50 MB", "2 GB" or "off".
func (z *Size) parse(s string) error {
	if isOff(s) {
		*z = Off
		return nil
	}
	digits := strings.TrimRight(s, "kKMGTiBb ")
	unit, ok := sizeUnits[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
	if err != nil || !ok || n < 0 || n > 1<<53/unit {
		return errValue(s, "a size as \"64 kB\", \"50 MB\" or \"2 GB\", or 0 or \"off\"")
	}
	*z = Size(n * unit)
	return nil
}

var sizeUnits = map[string]int64{
	"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40,
}

// parse reads "90s", "30m", "4h", "5d", "1h30m" or "off".
func (d *Duration) parse(s string) error {
	if isOff(s) {
		*d = Off
		return nil
	}
	var days time.Duration
	rest := s
	if n, after, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.Atoi(n)
		if err != nil || v < 0 || v > 36500 {
			return errDuration(s)
		}
		days, rest = time.Duration(v)*day, after
	}
	var v time.Duration
	if rest != "" {
		var err error
		if v, err = time.ParseDuration(rest); err != nil || v < 0 {
			return errDuration(s)
		}
	}
	if days+v == 0 {
		*d = Off
		return nil
	}
	*d = Duration(days + v)
	return nil
}

func isOff(s string) bool { return s == "0" || strings.EqualFold(s, "off") }

func errDuration(s string) error {
	return errValue(s, "a time as \"90s\", \"30m\", \"4h\" or \"5d\", or 0 or \"off\"")
}

// valueError is a value that its type refuses.
type valueError struct{ got, want string }

func errValue(got, want string) error { return &valueError{got, want} }
func (e *valueError) Error() string   { return fmt.Sprintf("%q is not %s", e.got, e.want) }

func (c Count) String() string    { return offOr(int64(c), strconv.FormatInt(int64(c), 10)) }
func (z Size) String() string     { return offOr(int64(z), spellSize(int64(z))) }
func (d Duration) String() string { return offOr(int64(d), spellDuration(time.Duration(d))) }

// Int is the number, negative when switched off, as all Limits structs want it.
func (c Count) Int() int { return int(c) }

// Int is the number of bytes, negative when switched off.
func (z Size) Int() int { return int(z) }

// Int64 is the number of bytes, negative when switched off.
func (z Size) Int64() int64 { return int64(z) }

// Duration is the time, negative when switched off.
func (d Duration) Duration() time.Duration { return time.Duration(d) }

func offOr(v int64, s string) string {
	if v == Off {
		return "off"
	}
	return s
}

func spellSize(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "kB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

func spellDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String() // 4h0m0s
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ParseDuration reads a time as the file has it: "90s", "30m", "4h", "5d".
func ParseDuration(s string) (Duration, error) {
	var d Duration
	err := d.parse(strings.TrimSpace(s))
	return max(d, 0), err
}

// ParseSize reads a size as the file has it: 4096, "4 kB", "50 MB" or "off".
func ParseSize(s string) (Size, error) {
	var z Size
	err := z.parse(strings.TrimSpace(s))
	return z, err
}
