package imap

import (
	"maps"
	"slices"
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// listCommands tell of mailboxes, RFC 9051 §6.3.9 and §6.3.11 and RFC 3501
// §6.3.9.
var listCommands = []command{
	{"LIST", loggedIn, tellAll, false, (*conn).listCmd},
	{"LSUB", loggedIn, tellAll, false, (*conn).lsub},
	{"STATUS", loggedIn, tellAll, false, (*conn).statusCmd},
}

// A listOption is a selection or return option of LIST, RFC 5258 §3.1 and §3.2.
type listOption struct {
	name string
	read func(c *conn, d *wire.Decoder, o *listOptions)
}

// listOptions are what a LIST asks for.
type listOptions struct {
	patterns []string
	extended bool
	// selection
	subscribed, recursive, special bool
	independent                    bool // an option that may stand without RECURSIVEMATCH
	// return
	tellSubscribed bool
	status         []*statusItem
	metadata       []entry
	myRights       bool
}

// A listed is one line of an answer to LIST.
type listed struct {
	path       string
	box        *place // nil: \NonExistent
	subscribed bool
	below      bool // a subscribed mailbox below it: CHILDINFO
}

// listCmd is LIST, RFC 9051 §6.3.9.
func (c *conn) listCmd(d *wire.Decoder) error {
	var o listOptions
	d.SP()
	if d.Peek() == '(' {
		o.extended = true
		d.List(func() { c.readListOption(d, c.tab.listSelect, &o) })
		d.SP()
	}
	ref := c.path(d, d.Astring())
	d.SP()
	c.readPatterns(d, &o)
	if d.Try(' ') {
		o.extended = true
		if !d.TryWord("RETURN") {
			d.Bad("expected RETURN")
		}
		d.SP()
		d.List(func() { c.readListOption(d, c.tab.listReturn, &o) })
	}
	if o.recursive && !o.independent {
		d.Bad("RECURSIVEMATCH wants another selection option") // RFC 5258 §3.1
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if !o.extended && o.patterns[0] == "" { // RFC 9051 §6.3.9: ask for the delimiter
		c.untagged(`LIST (\Noselect) "/" ""`)
		return nil
	}
	return c.list(ref, &o)
}

func (c *conn) readListOption(d *wire.Decoder, table map[string]*listOption, o *listOptions) {
	if x := table[string(d.Word())]; x != nil {
		x.read(c, d, o)
	} else {
		d.Bad("unknown LIST option")
	}
}

// readPatterns reads one pattern, or several in parentheses.
func (c *conn) readPatterns(d *wire.Decoder, o *listOptions) {
	read := func() {
		p := c.path(d, d.ListMailbox())
		lim := c.lim
		if len(p) > lim.PatternBytes || len(o.patterns) >= lim.ListPatterns {
			d.Bad("too many or too long patterns")
		}
		o.patterns = append(o.patterns, p)
	}
	if d.Peek() == '(' {
		o.extended = true
		if d.List(read); len(o.patterns) == 0 {
			d.Bad("LIST wants a pattern")
		}
		return
	}
	read()
}

// list writes the mailboxes that match.
func (c *conn) list(ref string, o *listOptions) error {
	boxes, subs, err := c.tree()
	if err != nil {
		return err
	}
	if len(ref) > c.lim.PatternBytes {
		return nil
	}
	m := newMatcher(ref, o.patterns)
	for _, e := range c.candidates(boxes, subs, o, m) {
		if !m.match(e.path) || !o.selects(&e) {
			continue
		}
		c.sayList(&e, o)
		if o.myRights && e.box != nil && e.box.acct != nil {
			if err := c.sayRightsOf(*e.box); err != nil { // RFC 8440 §3
				return err
			}
		}
		if len(o.status) > 0 && e.box != nil && !e.box.NoSelect {
			c.sayStatus(*e.box, o.status) // RFC 5819 §2
		}
		if len(o.metadata) > 0 && e.box != nil && !e.box.NoSelect && (e.subscribed || !o.subscribed) {
			// RFC 9590 §3: of one that went meanwhile there is none
			if err := c.sayMetadata(e.path, &metadataQuery{entries: o.metadata}); err != nil && mail.KindOf(err) != mail.NotFound {
				return err
			}
		}
		if err := c.drain(); err != nil {
			return err
		}
	}
	return nil
}

// tree returns mailboxes and subscriptions of one moment, and behind them the
// mailboxes of others.
func (c *conn) tree() (boxes []place, subs []string, err error) {
	err = c.acct.View(c.ctx, func(v *store.View) error {
		own := v.Mailboxes()
		boxes = make([]place, len(own))
		for i, m := range own {
			boxes[i] = place{m, c.acct}
		}
		subs = v.Subscriptions()
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	others, err := c.neighbourhood(subs)
	return append(boxes, others...), subs, err
}

// candidates are all names that a LIST may show: the mailboxes, and for
// SUBSCRIBED the names that are subscribed to without there being a mailbox. With
// RECURSIVEMATCH a name above one that is not shown stands for it, even if there
// is no mailbox of that name (RFC 5258 §5, the example with qux2).
func (c *conn) candidates(boxes []place, subs []string, o *listOptions, m *matcher) []listed {
	all := make([]listed, 0, len(boxes))
	for i := range boxes {
		b := &boxes[i]
		all = append(all, listed{path: b.Path, box: b, subscribed: b.Subscribed})
	}
	if o.subscribed {
		all = withNames(all, subs, true)
	}
	if o.recursive && o.subscribed {
		all = withNames(all, slices.Collect(maps.Keys(above(subs, m))), false)
	}
	if o.recursive && o.subscribed {
		markBelow(all, subs)
	}
	return all
}

// withNames adds names that have no mailbox.
func withNames(all []listed, names []string, subscribed bool) []listed {
	there := make(map[string]struct{}, len(all))
	for _, e := range all {
		there[e.path] = struct{}{}
	}
	n := len(all)
	for _, s := range names {
		if _, known := there[s]; !known {
			all = append(all, listed{path: s, subscribed: subscribed})
		}
	}
	if len(all) > n {
		slices.SortStableFunc(all, func(a, b listed) int { return comparePaths(a.path, b.path) })
	}
	return all
}

// comparePaths orders as the store does: INBOX first, children after parents.
func comparePaths(a, b string) int {
	if x, y := underInbox(a), underInbox(b); x != y {
		if x {
			return -1
		}
		return 1
	}
	return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
}

func underInbox(p string) bool { return p == "INBOX" || strings.HasPrefix(p, "INBOX/") }

// above returns the names that have a subscribed one below them which unless, if
// not nil, does not match.
func above(subs []string, unless *matcher) map[string]struct{} {
	names := map[string]struct{}{}
	for _, s := range subs {
		if unless != nil && unless.match(s) {
			continue
		}
		for i := strings.LastIndexByte(s, '/'); i > 0; i = strings.LastIndexByte(s[:i], '/') {
			if _, known := names[s[:i]]; known {
				break
			}
			names[s[:i]] = struct{}{}
		}
	}
	return names
}

// markBelow finds the names that have a subscribed name below them.
func markBelow(all []listed, subs []string) {
	names := above(subs, nil)
	for i := range all {
		_, all[i].below = names[all[i].path]
	}
}

// selects applies the selection options.
func (o *listOptions) selects(e *listed) bool {
	if o.special && (e.box == nil || e.box.Role == mail.RoleNone) {
		return false
	}
	if o.subscribed && !e.subscribed {
		return o.recursive && e.below
	}
	return true
}

// sayList writes one LIST response, RFC 9051 §7.3.1.
func (c *conn) sayList(e *listed, o *listOptions) {
	c.say("* LIST (")
	mark := len(c.out)
	if e.box == nil {
		c.say(`\NonExistent`)
	} else {
		c.out = c.appendAttributes(c.out, e.box.Mailbox)
	}
	if (o.subscribed || o.tellSubscribed) && e.subscribed {
		if len(c.out) > mark {
			c.say(" ")
		}
		c.say(`\Subscribed`)
	}
	c.say(`) "/" `)
	c.out = c.dia.appendMailbox(c.out, e.path)
	if o.recursive && e.below { // RFC 5258 §4
		c.say(` (CHILDINFO ("SUBSCRIBED"))`)
	}
	c.say("\r\n")
}

// appendAttributes appends the attributes of a mailbox; CHILDREN and SPECIAL-USE
// ones are always told (RFC 3348 §3, RFC 6154 §2).
func (c *conn) appendAttributes(dst []byte, m *store.Mailbox) []byte {
	if m.NoSelect {
		dst = append(dst, `\Noselect `...)
	}
	if m.HasChildren {
		dst = append(dst, `\HasChildren`...)
	} else {
		dst = append(dst, `\HasNoChildren`...)
	}
	if m.Role != mail.RoleNone {
		dst = append(append(dst, ' '), m.Role...)
	}
	return dst
}

// lsub is LSUB, RFC 3501 §6.3.9. With "%" a name that only has subscribed ones
// below it is shown as \Noselect.
func (c *conn) lsub(d *wire.Decoder) error {
	var o listOptions
	d.SP()
	ref := c.path(d, d.Astring())
	d.SP()
	c.readPatterns(d, &o)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if o.extended {
		return bad("LSUB takes one pattern")
	}
	boxes, subs, err := c.tree()
	if err != nil || len(ref) > c.lim.PatternBytes {
		return err
	}
	noselect := map[string]bool{}
	for _, b := range boxes {
		noselect[b.Path] = b.NoSelect
	}
	m := newMatcher(ref, o.patterns)
	shown := make(map[string]struct{}, len(subs))
	for _, s := range subs {
		shown[s] = struct{}{}
	}
	for _, s := range subs {
		if m.match(s) {
			c.sayLsub(s, noselect[s])
			continue
		}
		if !strings.HasSuffix(o.patterns[0], "%") {
			continue
		}
		for i := strings.IndexByte(s, '/'); i > 0; {
			above := s[:i]
			if _, done := shown[above]; !done && m.match(above) {
				shown[above] = struct{}{}
				c.sayLsub(above, true)
			}
			next := strings.IndexByte(s[i+1:], '/')
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	return nil
}

func (c *conn) sayLsub(path string, noselect bool) {
	c.say("* LSUB (")
	if noselect {
		c.say(`\Noselect`)
	}
	c.say(`) "/" `)
	c.out = c.dia.appendMailbox(c.out, path)
	c.say("\r\n")
}
