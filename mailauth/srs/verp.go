package srs

import (
	"strings"
	"time"

	"posthouse/mail"
)

const bouncePrefix = "bounce="

// IsBounce reports whether an address looks like the reverse-path of a list (VERP).
func IsBounce(a mail.Address) bool { return hasPrefix(a.Local, bouncePrefix) }

// escaped is a local part as one field of an address; unescaped reads it.
var (
	escaped   = strings.NewReplacer("%", "%25", "=", "%3d")
	unescaped = strings.NewReplacer("%25", "%", "%3d", "=", "%3D", "=")
)

// Bounce returns the reverse-path of what a list sends to a member: what comes back to
// it is about that member. Without a key, or if it would be too long, it is the list's
// own address.
func (r *Rewriter) Bounce(list, member mail.Address, now time.Time) mail.Address {
	if len(r.Keys) == 0 || member.Domain == "" || strings.ContainsAny(string(member.Domain), "[=@") {
		return list
	}
	rest := day(now) + "=" + escaped.Replace(list.Local) + "=" + string(member.Domain) + "=" + member.Local
	local := bouncePrefix + r.hash(r.Keys[0], rest+"@"+string(list.Domain)) + "=" + rest
	if len(local) > maxLocal {
		return list
	}
	return mail.Address{Local: local, Domain: list.Domain}
}

// Bounced returns the list and the member that a bounce to a is about: ErrNotOurs or
// ErrExpired if it is about none.
func (r *Rewriter) Bounced(a mail.Address, now time.Time) (list, member mail.Address, err error) {
	if !IsBounce(a) {
		return list, member, ErrNotOurs
	}
	hash, rest, ok := strings.Cut(a.Local[len(bouncePrefix):], "=")
	if !ok || !r.made(hash, rest+"@"+string(a.Domain)) {
		return list, member, ErrNotOurs
	}
	parts := strings.SplitN(rest, "=", 4)
	if len(parts) != 4 || parts[1] == "" || parts[2] == "" || parts[3] == "" {
		return list, member, ErrNotOurs
	}
	if !fresh(parts[0], now) {
		return list, member, ErrExpired
	}
	return mail.Address{Local: unescaped.Replace(parts[1]), Domain: a.Domain}, mail.Address{Local: parts[3], Domain: mail.Domain(strings.ToLower(parts[2]))}, nil
}
