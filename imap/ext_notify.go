package imap

import (
	"slices"
	"strings"

	"posthouse/imap/wire"
	"posthouse/store"
)

// extNotify is NOTIFY: what the client wants to hear of, in which mailboxes, at any
// time, RFC 5465 §3.1. What is told is in notify.go.
var extNotify = &extension{name: "NOTIFY", rfc: "RFC 5465",
	commands: []command{{"NOTIFY", loggedIn, tellNothing, false, (*conn).notifyCmd}},
	reset:    func(c *conn) { c.stopNotify() },
}

// events are kinds of events, RFC 5465 §5.
type events uint8

const (
	eventNew events = 1 << iota
	eventExpunge
	eventFlags
	eventName
	eventSubscription
	eventAnnotation
	eventMailboxMetadata
	eventServerMetadata

	messageEvents = eventNew | eventExpunge | eventFlags | eventAnnotation
)

var eventNames = map[string]events{
	"MESSAGENEW": eventNew, "MESSAGEEXPUNGE": eventExpunge, "FLAGCHANGE": eventFlags,
	"MAILBOXNAME": eventName, "SUBSCRIPTIONCHANGE": eventSubscription,
	"ANNOTATIONCHANGE": eventAnnotation, "MAILBOXMETADATACHANGE": eventMailboxMetadata, "SERVERMETADATACHANGE": eventServerMetadata,
}

const badEvent = "BADEVENT (MessageNew MessageExpunge FlagChange AnnotationChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)"

// An eventGroup is what is wanted of some mailboxes.
type eventGroup struct {
	filter mailboxFilter
	want   events
	items  []boundItem // of new messages in the selected mailbox
}

// A notification is what a client asked for by NOTIFY. Without one it is told what
// IMAP tells anyone.
type notification struct {
	selected eventGroup // of the selected mailbox; none: nothing is told of it
	delayed  bool       // SELECTED-DELAYED
	others   []eventGroup
	// serverMetadata: of changes to annotations of the account
	serverMetadata bool
	boxes          []place // as last told
	subs           []string
	stop           func() // ends the watch
}

// notifyCmd is NOTIFY, RFC 5465 §3.
func (c *conn) notifyCmd(d *wire.Decoder) error {
	n := &notification{stop: func() {}}
	status := false
	d.SP()
	if !d.TryWord("NONE") {
		if !d.TryWord("SET") {
			d.Bad("expected SET or NONE")
		}
		d.SP()
		if status = d.TryWord("STATUS"); status {
			d.SP()
		}
		groups := 0
		for d.Err() == nil {
			if groups++; groups > c.lim.ListPatterns {
				d.Bad("too many groups of events")
			}
			c.readEventGroup(d, n)
			if !d.Try(' ') {
				break
			}
		}
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	c.stopNotify()
	if err := c.sync(tellAll); err != nil { // an implicit NOOP, RFC 5465 §3.1
		return err
	}
	boxes, subs, err := c.tree()
	if err != nil {
		return err
	}
	n.boxes, n.subs = boxes, subs
	c.notify = n
	c.feed()
	if n.selected.want != 0 || len(n.others) > 0 {
		n.stop = c.watchAll(boxes)
	}
	if status {
		return c.sayAllStatus(n)
	}
	return nil
}

// stopNotify forgets what was asked for.
func (c *conn) stopNotify() {
	if c.notify != nil {
		c.notify.stop()
		c.notify = nil
		c.feed()
	}
}

// watchAll wakes the connection at each change of the accounts whose mailboxes it is
// told of, until the result is called.
func (c *conn) watchAll(boxes []place) func() {
	nc := c.nc
	wake := func() { c.wake(nc) }
	watchers := []*store.Watcher{c.acct.WatchFunc(wake)}
	for _, acct := range owners(boxes) {
		if !acct.Owned() {
			watchers = append(watchers, acct.WatchFunc(wake))
		}
	}
	return func() {
		for _, w := range watchers {
			w.Close()
		}
	}
}

// owners are the accounts of mailboxes, each once.
func owners(boxes []place) (all []*store.Account) {
	for i := range boxes {
		if a := boxes[i].acct; a != nil && (len(all) == 0 || all[len(all)-1].ID() != a.ID()) {
			all = append(all, a)
		}
	}
	return all
}

// readEventGroup reads "(" filter-mailboxes SP events ")", RFC 5465 §8.
func (c *conn) readEventGroup(d *wire.Decoder, n *notification) {
	var g eventGroup
	d.Open()
	g.filter = c.readMailboxFilter(d)
	d.SP()
	if !d.TryWord("NONE") {
		d.List(func() { c.readEvent(d, &g) })
	}
	d.Close()
	n.serverMetadata = n.serverMetadata || g.want&eventServerMetadata != 0
	both := g.want & (eventNew | eventExpunge)
	switch {
	case d.Err() != nil:
	case g.filter.kind == filterSubtreeOne:
		d.Bad("subtree-one is for ESEARCH")
	case both != 0 && both != eventNew|eventExpunge, g.want&(eventFlags|eventAnnotation) != 0 && both == 0:
		d.Bad("MessageNew and MessageExpunge come together, and FlagChange with them") // RFC 5465 §5
	case g.filter.kind > filterDelayed:
		n.others = append(n.others, g)
	case n.selected.want != 0 || g.want&^(messageEvents|eventMailboxMetadata|eventServerMetadata) != 0:
		d.Bad("the selected mailbox is named once, for events of messages") // RFC 5465 §6.1
	default:
		n.selected, n.delayed = g, g.filter.kind == filterDelayed
	}
}

// readEvent reads one event. Those that are not supported are a NO that names the
// others (RFC 5465 §3.1).
func (c *conn) readEvent(d *wire.Decoder, g *eventGroup) {
	e, known := eventNames[strings.ToUpper(d.Atom())]
	if !known {
		d.Fail(no(badEvent, "there is no such event here"))
		return
	}
	g.want |= e
	if e != eventNew || d.Peek() != ' ' || d.PeekAt(1) != '(' {
		return
	}
	if g.filter.kind > filterDelayed {
		d.Bad("items are for the selected mailbox")
		return
	}
	f := &fetch{c: c}
	d.SP()
	d.List(func() { f.readItem(d, d.Word()) })
	g.items = slices.Clone(f.items)
}
