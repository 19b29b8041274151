// Package srs rewrites the reverse-path of forwarded mail, so that SPF passes for the
// forwarder and bounces find their way back: the Sender Rewriting Scheme in its usual
// forms, SRS0 and SRS1 (Meng Weng Wong and Shevek, 2003).
//
//	SRS0=hash=day=domain=local@forwarder          from local@domain
//	SRS1=hash=first==hash=day=domain=local@us     from an SRS0 address of another forwarder
//	bounce=hash=day=list=domain=local@us          of the list list@us, to local@domain (VERP)
//
// Only addresses that we made lead anywhere: the hash is a keyed one over all that
// follows it. Addresses are valid for three weeks. The package does no I/O.
package srs

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"posthouse/mail"
)

// A Rewriter makes and reads addresses.
type Rewriter struct {
	// Keys are secrets, the newest first: it signs, all are believed.
	Keys [][]byte
}

const (
	hashChars = 8 // of base32: 40 bits
	validDays = 21
	// maxLocal is RFC 5321 §4.5.3.1.1's 64 octets. Longer ones exist and work: what
	// does not fit is still better rewritten than refused for its SPF.
	maxLocal = 255
)

var (
	// ErrNotOurs is an address that is none of the scheme, or that we did not make.
	ErrNotOurs = errors.New("srs: not an address that was made here")
	// ErrExpired is one of ours that is too old.
	ErrExpired = errors.New("srs: the address has expired")
)

// Is reports whether an address looks like one of the scheme.
func Is(a mail.Address) bool {
	return len(a.Local) > 5 && (hasPrefix(a.Local, "SRS0") || hasPrefix(a.Local, "SRS1")) && isSeparator(a.Local[4])
}

func hasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
func isSeparator(c byte) bool { return c == '=' || c == '+' || c == '-' }

// Forward returns the reverse-path for mail from a that goes on from a domain of ours.
// The null reverse-path, and what cannot be rewritten, stays.
func (r *Rewriter) Forward(a mail.Address, domain mail.Domain, now time.Time) mail.Address {
	if len(r.Keys) == 0 || a.IsNull() || a.Domain == "" || a.Domain == domain || strings.ContainsAny(string(a.Domain), "[=@") {
		return a
	}
	var rest, tag string
	switch {
	case Is(a) && hasPrefix(a.Local, "SRS0"): // another forwarder's: it goes back there
		tag, rest = "SRS1=", string(a.Domain)+"="+a.Local[4:]
	case Is(a): // SRS1: the first forwarder stays, we take the place of the last
		_, first, ok := strings.Cut(a.Local[5:], "=")
		if !ok {
			return a
		}
		tag, rest = "SRS1=", first
	default:
		tag, rest = "SRS0=", day(now)+"="+string(a.Domain)+"="+a.Local
	}
	local := tag + r.hash(r.Keys[0], rest) + "=" + rest
	if len(local) > maxLocal {
		return a
	}
	return mail.Address{Local: local, Domain: domain}
}

// Reverse returns where a bounce to a goes: ErrNotOurs or ErrExpired if nowhere.
func (r *Rewriter) Reverse(a mail.Address, now time.Time) (mail.Address, error) {
	if !Is(a) {
		return mail.Address{}, ErrNotOurs
	}
	hash, rest, ok := strings.Cut(a.Local[5:], "=")
	if !ok || !r.made(hash, rest) {
		return mail.Address{}, ErrNotOurs
	}
	if hasPrefix(a.Local, "SRS1") {
		first, tail, ok := strings.Cut(rest, "=")
		if !ok || first == "" || tail == "" || !isSeparator(tail[0]) {
			return mail.Address{}, ErrNotOurs
		}
		return mail.Address{Local: "SRS0" + tail, Domain: mail.Domain(strings.ToLower(first))}, nil
	}
	parts := strings.SplitN(rest, "=", 3)
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return mail.Address{}, ErrNotOurs
	}
	if !fresh(parts[0], now) {
		return mail.Address{}, ErrExpired
	}
	return mail.Address{Local: parts[2], Domain: mail.Domain(strings.ToLower(parts[1]))}, nil
}

func (r *Rewriter) made(hash, rest string) bool {
	for _, k := range r.Keys {
		want := r.hash(k, rest)
		if len(hash) == len(want) && subtle.ConstantTimeCompare([]byte(strings.ToLower(hash)), []byte(want)) == 1 {
			return true
		}
	}
	return false
}

// digits keep their meaning in any case, which servers on the way may change.
var digits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// hash is over the text without case: the same reason.
func (r *Rewriter) hash(key []byte, text string) string {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(strings.ToLower(text)))
	return digits.EncodeToString(m.Sum(nil))[:hashChars]
}

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

// day is the number of the day, in two digits: it comes again after 1,024 days.
func day(now time.Time) string {
	n := now.Unix() / 86400 % 1024
	return string([]byte{alphabet[n>>5], alphabet[n&31]})
}

func fresh(s string, now time.Time) bool {
	s = strings.ToLower(s)
	if len(s) != 2 {
		return false
	}
	hi, lo := strings.IndexByte(alphabet, s[0]), strings.IndexByte(alphabet, s[1])
	if hi < 0 || lo < 0 {
		return false
	}
	age := (now.Unix()/86400%1024 - int64(hi<<5|lo) + 1024) % 1024
	return age <= validDays || age == 1023 // made by a clock ahead of ours
}
