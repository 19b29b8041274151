package search

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// A RawQuery says how [ParseRaw] reads a query that people type.
type RawQuery struct {
	Now time.Time // for older_than and the like; its zone is that of dates
	// Label gives the key for a label or a place: a mailbox, by its name or as
	// "inbox", "trash". nil: labels match nothing.
	Label func(name string) Key
	Terms int // at most; 0: 200
	Depth int // of parentheses, at most; 0: 50
}

// ErrRawQuery is in the chain of an error of [ParseRaw].
var ErrRawQuery = errors.New("the query is too long or nested too deeply")

// ParseRaw reads a query in the language of Gmail's search box, as X-GM-RAW and
// people write it: words that all must be there, "exact phrases", OR, - for not,
// ( ) and { } for any of, and operators:
//
//	from: to: cc: bcc: subject: list: deliveredto: rfc822msgid: filename:
//	has:attachment  is:unread read starred unstarred important answered draft
//	in: label:  before: older: after: newer: (dates)  older_than: newer_than: (2d, 3m, 1y)
//	larger: smaller: size: (bytes, or 10k, 5m)
//
// Like a search box it takes anything: what is no operator is text. Only its length
// and depth are bounded.
func ParseRaw(s string, q RawQuery) (Key, error) {
	if q.Terms == 0 {
		q.Terms = 200
	}
	if q.Depth == 0 {
		q.Depth = 50
	}
	p := &rawParser{s: s, q: q, field: textOf}
	key := p.all(0)
	for p.err == nil && p.at < len(p.s) { // a parenthesis too many
		p.at++
		key = append(key, p.all(0)...)
	}
	return key, p.err
}

// textOf is what a word without an operator looks for.
func textOf(_ *rawParser, text string) Key { return Text(text) }

// A rawParser reads a query from left to right. It recurses only into parentheses,
// which are counted.
type rawParser struct {
	s     string
	at    int
	depth int
	terms int
	q     RawQuery
	field operator // of the words: from:(ada ben)
	err   error
}

// An operator makes a key of a word or phrase.
type operator func(p *rawParser, value string) Key

func (p *rawParser) spaces() {
	for p.at < len(p.s) && isSpace(p.s[p.at]) {
		p.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' }

// all reads terms that all must match, up to end or the end of the query. OR joins
// the two terms around it.
func (p *rawParser) all(end byte) (keys And) {
	or := false
	for p.spaces(); p.err == nil && p.at < len(p.s); p.spaces() {
		c := p.s[p.at]
		if c == ')' || c == '}' {
			break
		}
		if p.isOr() {
			or = len(keys) > 0
			continue
		}
		k := p.term()
		switch last := len(keys) - 1; {
		case k == nil:
		case !or:
			keys = append(keys, k)
		default:
			if more, ok := keys[last].(rawOr); ok {
				keys[last] = append(more, k)
			} else {
				keys[last] = rawOr{keys[last], k}
			}
		}
		or = false
	}
	for i, k := range keys {
		if more, ok := k.(rawOr); ok {
			keys[i] = Or(more)
		}
	}
	if end != 0 && p.at < len(p.s) {
		p.at++ // the closing one, of whatever kind
	}
	return keys
}

// rawOr is an Or that OR made, which a further OR extends.
type rawOr []Key

func (k rawOr) cost() cost                        { return dearest(k) }
func (k rawOr) eval(c *candidate) (answer, error) { return Or(k).eval(c) }

// isOr reads OR, which is written in capitals, or "|".
func (p *rawParser) isOr() bool {
	if p.s[p.at] == '|' {
		p.at++
		return true
	}
	rest := p.s[p.at:]
	if !strings.HasPrefix(rest, "OR") || len(rest) > 2 && !isSpace(rest[2]) && rest[2] != '(' {
		return false
	}
	p.at += 2
	return true
}

// term reads one term; nil if it says nothing.
func (p *rawParser) term() Key {
	if p.terms++; p.terms > p.q.Terms {
		p.err = ErrRawQuery
		return nil
	}
	negated := false
	for p.at < len(p.s) && (p.s[p.at] == '-' || p.s[p.at] == '+') {
		negated = negated != (p.s[p.at] == '-')
		p.at++
	}
	k := p.primary()
	if k != nil && negated {
		return Not{k}
	}
	return k
}

// primary reads a group, a phrase or a word with its operator.
func (p *rawParser) primary() Key {
	if p.at == len(p.s) {
		return nil
	}
	switch c := p.s[p.at]; c {
	case '(', '{':
		return p.group(p.field)
	case '"':
		return p.field(p, p.phrase())
	case ')', '}':
		return nil
	}
	start := p.at
	for p.at < len(p.s) && !isSpace(p.s[p.at]) && !strings.ContainsRune(`()"{}`, rune(p.s[p.at])) {
		if p.at++; p.s[p.at-1] != ':' {
			continue
		}
		if op := rawOperators[strings.ToLower(p.s[start:p.at-1])]; op != nil {
			return p.value(op)
		}
	}
	if p.at == start {
		p.at++
		return nil
	}
	return p.field(p, p.s[start:p.at])
}

// value reads what stands behind an operator.
func (p *rawParser) value(op operator) Key {
	if p.at == len(p.s) || isSpace(p.s[p.at]) {
		return nil
	}
	switch p.s[p.at] {
	case '(', '{':
		return p.group(op)
	case '"':
		return op(p, p.phrase())
	}
	start := p.at
	for p.at < len(p.s) && !isSpace(p.s[p.at]) && !strings.ContainsRune(`(){}`, rune(p.s[p.at])) {
		p.at++
	}
	if p.at == start {
		return nil
	}
	return op(p, p.s[start:p.at])
}

// group reads ( ) or { }, its words with an operator.
func (p *rawParser) group(op operator) Key {
	open := p.s[p.at]
	p.at++
	if p.depth++; p.depth > p.q.Depth {
		p.err = ErrRawQuery
		return nil
	}
	before := p.field
	p.field = op
	keys := p.all(open)
	p.field = before
	p.depth--
	switch {
	case len(keys) == 0:
		return nil
	case len(keys) == 1:
		return keys[0]
	case open == '{':
		return Or(keys)
	}
	return keys
}

// phrase reads "…"; without its end, to the end of the query.
func (p *rawParser) phrase() string {
	p.at++
	text, _, closed := strings.Cut(p.s[p.at:], `"`)
	if p.at += len(text); closed {
		p.at++
	}
	return text
}

// rawOperators are the operators by their names.
var rawOperators = map[string]operator{
	"from": rawHeader("From"), "to": rawTo, "cc": rawHeader("Cc"), "bcc": rawHeader("Bcc"), "subject": rawHeader("Subject"),
	"list": rawHeader("List-Id"), "deliveredto": rawHeader("Delivered-To"), "rfc822msgid": rawHeader("Message-ID"),
	"filename": func(_ *rawParser, v string) Key { return Filename(v) },
	"has":      rawHas, "is": rawIs,
	"label": rawLabel, "in": rawLabel,
	"before": rawDate(true), "older": rawDate(true), "after": rawDate(false), "newer": rawDate(false),
	"older_than": rawAge(true), "newer_than": rawAge(false),
	"larger": rawSize(func(n int64) Key { return Larger(n) }), "size": rawSize(func(n int64) Key { return Larger(n) }),
	"larger_than": rawSize(func(n int64) Key { return Larger(n) }), "smaller": rawSize(func(n int64) Key { return Smaller(n) }),
	"smaller_than": rawSize(func(n int64) Key { return Smaller(n) }),
}

func rawHeader(name string) operator {
	return func(_ *rawParser, v string) Key { return Header{Name: name, Text: v} }
}

// rawTo finds a recipient wherever one stands, as Gmail does.
func rawTo(_ *rawParser, v string) Key {
	return Or{Header{"To", v}, Header{"Cc", v}, Header{"Bcc", v}}
}

func rawHas(p *rawParser, v string) Key {
	switch strings.ToLower(v) {
	case "attachment":
		return HasAttachment{}
	case "yellow-star", "star":
		return Flag(mail.FlagFlagged)
	}
	return p.text("has:" + v)
}

// text takes what looked like an operator for a word.
func (p *rawParser) text(s string) Key { return Text(s) }

// rawFlags are what is: knows.
var rawFlags = map[string]struct {
	flag mail.Flag
	not  bool
}{
	"read": {mail.FlagSeen, false}, "unread": {mail.FlagSeen, true},
	"starred": {mail.FlagFlagged, false}, "unstarred": {mail.FlagFlagged, true},
	"important": {"$Important", false}, "answered": {mail.FlagAnswered, false}, "replied": {mail.FlagAnswered, false},
	"draft": {mail.FlagDraft, false}, "muted": {"$Muted", false},
}

func rawIs(p *rawParser, v string) Key {
	f, ok := rawFlags[strings.ToLower(v)]
	switch {
	case !ok:
		return p.text("is:" + v)
	case f.not:
		return Not{Flag(f.flag)}
	}
	return Flag(f.flag)
}

func rawLabel(p *rawParser, v string) Key {
	if p.q.Label == nil {
		return Or{}
	}
	return p.q.Label(v)
}

// rawDate reads 2026/05/04, 2026-5-4, 04/05/2026 (month first) or seconds since
// 1970. The day itself is after, and not before.
func rawDate(before bool) operator {
	return func(p *rawParser, v string) Key {
		t, ok := p.date(v)
		switch {
		case !ok:
			return Or{}
		case before:
			return Received{To: t}
		}
		return Received{From: t}
	}
}

func (p *rawParser) date(v string) (time.Time, bool) {
	v = strings.NewReplacer("-", "/", ".", "/").Replace(v)
	for _, layout := range []string{"2006/1/2", "1/2/2006"} {
		if t, err := time.ParseInLocation(layout, v, p.q.Now.Location()); err == nil {
			return t, true
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 10_000 || n > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// rawAge reads 2d, 3m, 1y; also w for weeks and h for hours.
func rawAge(older bool) operator {
	return func(p *rawParser, v string) Key {
		if v == "" {
			return Or{}
		}
		n, err := strconv.Atoi(v[:len(v)-1])
		if err != nil || n < 0 || n > 100_000 {
			return Or{}
		}
		t := p.q.Now
		switch v[len(v)-1] {
		case 'h', 'H':
			t = t.Add(-time.Duration(n) * time.Hour)
		case 'd', 'D':
			t = t.AddDate(0, 0, -n)
		case 'w', 'W':
			t = t.AddDate(0, 0, -7*n)
		case 'm', 'M':
			t = t.AddDate(0, -n, 0)
		case 'y', 'Y':
			t = t.AddDate(-n, 0, 0)
		default:
			return Or{}
		}
		if older {
			return Received{To: t}
		}
		return Received{From: t}
	}
}

// rawSize reads bytes, or 10k, 5M.
func rawSize(key func(int64) Key) operator {
	return func(_ *rawParser, v string) Key {
		v = strings.ToLower(strings.TrimSuffix(strings.ToLower(v), "b"))
		shift := 0
		switch {
		case strings.HasSuffix(v, "k"):
			shift = 10
		case strings.HasSuffix(v, "m"):
			shift = 20
		case strings.HasSuffix(v, "g"):
			shift = 30
		}
		if shift > 0 {
			v = v[:len(v)-1]
		}
		n, err := strconv.ParseInt(v, 10, 33)
		if err != nil || n < 0 {
			return Or{}
		}
		return key(n << shift)
	}
}

// Filename matches messages with an attached file whose name holds the string.
type Filename string

func (Filename) cost() cost { return byRecord }

func (k Filename) eval(c *candidate) (answer, error) {
	if c.email == nil {
		return unknown, nil
	}
	m, err := c.email.Message()
	if err != nil {
		return no, err
	}
	n := newNeedle(string(k))
	for i := range m.Parts {
		if name := m.Parts[i].Filename(); name != "" && n.in([]byte(name), &c.scratch.folded) {
			return yes, nil
		}
	}
	return no, nil
}

// Among matches the messages of a set, whatever mailbox they are in.
type Among map[store.EmailID]struct{}

func (Among) cost() cost { return byRow }

func (k Among) eval(c *candidate) (answer, error) {
	_, ok := k[c.row.Email]
	return decided(ok), nil
}
