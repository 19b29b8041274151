package wire

import "posthouse/mail"

// Flag reads a flag or a keyword, RFC 9051 §9.
func (d *Decoder) Flag() mail.Flag {
	if d.Try('\\') {
		return mail.Flag(`\` + d.Atom())
	}
	return mail.Flag(d.Atom())
}

// Keyword reads a flag-keyword: an atom, no system flag.
func (d *Decoder) Keyword() mail.Flag { return mail.Flag(d.Atom()) }

// Flags reads a parenthesised list of flags.
func (d *Decoder) Flags() []mail.Flag {
	var fs []mail.Flag
	d.List(func() { fs = append(fs, d.Flag()) })
	return fs
}
