package jmap

import (
	"context"
	"slices"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
	"posthouse/trace"
)

// A Tracer finds what became of messages; [trace.Log] does.
type Tracer interface {
	Find(ctx context.Context, q trace.Query) ([]trace.Story, bool, error)
}

// traceMethod is Trace/get of the vendor capability: what became of a message of the
// user's own, received or sent.
func traceMethod() *method {
	return &method{name: "Trace/get", capability: capPosthouse, args: []wire.Field{{Name: "ids", Type: "Id[]"}}, do: tracesOf}
}

// maxTraces bounds one call: each searches the records of all days that are kept.
const maxTraces = 20

func tracesOf(c *call) (wire.Object, error) {
	ids := unique(c.strs("ids"))
	if len(ids) > maxTraces {
		return nil, refused("requestTooLarge", "too many ids")
	}
	list, missing := []wire.Object{}, []string{}
	for _, id := range ids {
		var st *trace.Story
		of, err := c.traceOf(c.req.idOf(id))
		if err == nil && of != nil && c.opts.Trace != nil {
			st, err = c.story(of)
		}
		if err != nil {
			return nil, err
		}
		if st == nil {
			missing = append(missing, id)
			continue
		}
		list = append(list, wire.Object{{Name: "id", Value: id}, {Name: "traceId", Value: st.ID}, {Name: "events", Value: eventObjects(st)}, {Name: "told", Value: sentences(st)}})
	}
	return c.head().With("list", list).With("notFound", missing), nil
}

// A traced is what is known of a message by which its trace is found.
type traced struct {
	sent      string // trace id of a submission, which is the user's own
	came      string // trace id that the message itself claims: its Received may be forged
	messageID string
}

// traceOf looks at a submission or an email; nil if there is none.
func (c *call) traceOf(id string) (*traced, error) {
	var found *traced
	err := c.view(func(v *store.View) error {
		o, err := v.Object(store.ObjectSubmission, id)
		if err == nil {
			m, err := decodeValues(o.Value)
			if t, _ := m["traceId"].(string); err == nil && t != "" {
				found = &traced{sent: t}
			}
			return err
		}
		n, ok := parseEmailID(id)
		if mail.KindOf(err) != mail.NotFound || !ok {
			if mail.KindOf(err) == mail.NotFound {
				err = nil
			}
			return err
		}
		e, err := c.loadEmail(&rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}, n)
		if err != nil || e == nil {
			return err
		}
		h, err := e.headerOf(&getter{c, v}, 0)
		if err != nil {
			return err
		}
		found = &traced{came: receivedID(h), messageID: strings.Trim(h.Value("Message-ID"), "<> ")}
		return nil
	})
	return found, err
}

// receivedID is the trace id in the newest Received field; "" if there is none.
func receivedID(h *message.Header) string {
	words := strings.Fields(h.Value("Received"))
	for i, w := range words[:max(0, len(words)-1)] {
		if strings.EqualFold(w, "id") {
			return strings.TrimRight(words[i+1], ";")
		}
	}
	return ""
}

// story finds the trace, with only what the user may know: all of what the user sent,
// and of what came what became of it here for the user, since who else it was for is
// not told in the message. It is nil if the records are gone or somebody else's.
func (c *call) story(of *traced) (*trace.Story, error) {
	for _, q := range []trace.Query{{Any: of.sent}, {Any: of.came}, {MessageID: of.messageID}} {
		if q == (trace.Query{}) {
			continue
		}
		list, _, err := c.opts.Trace.Find(c.ctx, q)
		if err != nil {
			return nil, err
		}
		slices.Reverse(list) // the newest first
		for i := range list {
			st := &list[i]
			if of.sent != "" && st.ID == of.sent || c.isSender(st) {
				return st, nil
			}
			if of.sent == "" && (st.ID == of.came || q.MessageID != "") {
				if kept, err := c.onlyMine(st); kept != nil || err != nil {
					return kept, err
				}
			}
		}
	}
	return nil, nil
}

// isSender reports whether the user's own login sent a message.
func (c *call) isSender(st *trace.Story) bool {
	return st.Events[0].Account != "" && st.Events[0].Account == c.who.account.Address.String()
}

// onlyMine leaves of a story what it says of the account's own addresses; nil if that is
// nothing.
func (c *call) onlyMine(st *trace.Story) (*trace.Story, error) {
	kept := &trace.Story{ID: st.ID}
	mine := map[string]bool{}
	named := false
	for _, e := range st.Events {
		e.To = slices.Clone(e.To)
		var err error
		e.To = slices.DeleteFunc(e.To, func(f trace.Fate) bool {
			is, known := mine[f.Address]
			if !known && err == nil {
				is, err = c.leadsHere(f.Address)
				mine[f.Address] = is
			}
			return !is
		})
		if err != nil {
			return nil, err
		}
		if named = named || len(e.To) > 0; len(e.To) > 0 {
			kept.Events = append(kept.Events, e)
		}
	}
	if !named {
		return nil, nil
	}
	return kept, nil
}

// leadsHere reports whether mail for an address comes to the account.
func (c *call) leadsHere(address string) (bool, error) {
	list := message.ParseAddresses([]byte(address), 2)
	if len(list) != 1 || list[0].Group {
		return false, nil
	}
	res, err := c.opts.Directory.Resolve(c.ctx, list[0].Address)
	if k := mail.KindOf(err); err != nil && (k == mail.TooLarge || k == mail.Invalid) {
		return false, nil
	}
	return err == nil && slices.Contains(res.Accounts, c.acct.ID()), err
}

func eventObjects(st *trace.Story) []wire.Object {
	list := []wire.Object{}
	for _, e := range st.Events {
		to := []wire.Object{}
		for _, f := range e.To {
			to = append(to, wire.Object{{Name: "address", Value: f.Address}, {Name: "became", Value: f.Became.String()}, {Name: "detail", Value: f.Detail}})
		}
		var reply any
		if e.Reply.Code != 0 {
			reply = e.Reply.String()
		}
		notes := e.Notes
		if notes == nil {
			notes = []string{}
		}
		list = append(list, wire.Object{{Name: "at", Value: e.At.UTC().Format(time.RFC3339)}, {Name: "kind", Value: e.Kind.String()}, {Name: "from", Value: e.From},
			{Name: "account", Value: textOrNull(e.Account)}, {Name: "remote", Value: textOrNull(e.Remote)}, {Name: "by", Value: textOrNull(e.By)}, {Name: "reply", Value: reply},
			{Name: "recipients", Value: to}, {Name: "notes", Value: notes}})
	}
	return list
}

func sentences(st *trace.Story) []wire.Object {
	list := []wire.Object{}
	for _, s := range st.Tell() {
		list = append(list, wire.Object{{Name: "at", Value: s.At.UTC().Format(time.RFC3339)}, {Name: "text", Value: s.Text}})
	}
	return list
}
