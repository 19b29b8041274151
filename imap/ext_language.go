package imap

import (
	"strings"

	"posthouse/imap/wire"
)

// extLanguage is LANGUAGE, RFC 5255 §3. Texts for people exist in English alone.
var extLanguage = &extension{name: "LANGUAGE", rfc: "RFC 5255",
	commands: []command{{"LANGUAGE", anyState, tellAll, false, (*conn).language}},
}

// extI18N is I18NLEVEL=2: strings compare as RFC 5051 in all that searches and
// sorts, and COMPARATOR says so, RFC 5255 §4.
var extI18N = &extension{name: "I18NLEVEL=2", rfc: "RFC 5255",
	commands: []command{{"COMPARATOR", loggedIn, tellAll, false, (*conn).comparator}},
}

// languages are the tags that mean what is spoken here.
var languages = []string{"i-default", "en"}

// language is LANGUAGE, RFC 5255 §3.2: alone it lists, with ranges it takes the
// first that is known, "*" and "default" among them.
func (c *conn) language(d *wire.Decoder) error {
	var chosen string
	ranges := 0
	for d.Try(' ') {
		want := strings.ToLower(d.Astring())
		if ranges++; ranges > 100 {
			d.Bad("too many languages")
		}
		if chosen == "" {
			chosen = languageOf(want)
		}
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	switch {
	case ranges == 0:
		c.untagged(`LANGUAGE ("i-default" "en")`)
	case chosen == "":
		return no("", "this language is not spoken here")
	default:
		c.untagged(`LANGUAGE ("`, chosen, `")`)
	}
	return nil
}

// languageOf finds the language of a range, RFC 5255 §3.2.
func languageOf(want string) string {
	if want == "default" || want == "*" {
		return languages[0]
	}
	for _, l := range languages {
		if want == l || l == "en" && strings.HasPrefix(want, "en-") {
			return l
		}
	}
	return ""
}

const collation = "i;unicode-casemap"

// comparator is COMPARATOR, RFC 5255 §4.7. There is one, so all that changes is
// whether the client hears of it.
func (c *conn) comparator(d *wire.Decoder) error {
	ranges, known := 0, false
	for d.Try(' ') {
		want := strings.ToLower(d.Astring())
		if ranges++; ranges > 100 {
			d.Bad("too many comparators")
		}
		known = known || want == "default" || want == collation || matchesCollation(want)
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if ranges > 0 && !known {
		return no("BADCOMPARATOR", "no such comparator")
	}
	c.untagged(`COMPARATOR "`, collation, `"`)
	return nil
}

// matchesCollation matches a collation-wild of RFC 4790: "*" stands for anything.
func matchesCollation(want string) bool {
	before, after, wild := strings.Cut(want, "*")
	return wild && len(before)+len(after) <= len(collation) &&
		strings.HasPrefix(collation, before) && strings.HasSuffix(collation, after)
}
