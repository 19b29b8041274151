package delivery

import (
	"slices"
	"strconv"
	"strings"

	"posthouse/mail"
	"posthouse/trace"
)

// An outcome is what the trace is told about a transaction.
type outcome struct {
	reply   mail.Reply // the last word: to MAIL, or to the end of the data
	refused []trace.Fate
	fates   []fate
}

// A fate is what became of the recipient with index to, in one respect.
type fate struct {
	to int
	trace.Fate
}

// maxRefused is how many refused recipients of a transaction are remembered.
const maxRefused = 100

func (o *outcome) refuse(a mail.Address, r mail.Reply) {
	if len(o.refused) < maxRefused {
		o.refused = append(o.refused, trace.Fate{Address: a.String(), Became: refusal(r), Detail: r.String()})
	}
}

func refusal(r mail.Reply) trace.Became {
	if r.Transient() {
		return trace.Deferred
	}
	return trace.Turned
}

// put notes what became of the recipient with index i.
func (o *outcome) put(i int, b trace.Became, detail string) {
	o.fates = append(o.fates, fate{i, trace.Fate{Became: b, Detail: detail}})
}

// each notes the replies of LMTP.
func (o *outcome) each(replies []mail.Reply) {
	for i, r := range replies {
		if !r.Positive() {
			o.put(i, refusal(r), r.String())
		}
		if !o.reply.Positive() {
			o.reply = r
		}
	}
}

// committed notes where the message went.
func (t *Transaction) committed(recipients []int, drops []drop) {
	for _, d := range drops {
		where := d.mailbox
		if where == "" {
			where = strings.TrimPrefix(string(d.role), `\`)
		}
		t.outcome.put(d.to, trace.Delivered, where)
	}
	for _, i := range recipients {
		w := &t.ways[i]
		switch {
		case len(w.remote) == 0:
		case w.alias:
			list := make([]string, len(w.remote))
			for n, a := range w.remote {
				list[n] = a.String()
			}
			t.outcome.put(i, trace.Forwarded, strings.Join(list, ", "))
		default:
			t.outcome.put(i, trace.Queued, string(w.remote[0].Domain))
		}
	}
}

// Refused tells that the front end refused the recipient a, which it did not show to
// Recipient; the trace remembers it.
func (t *Transaction) Refused(a mail.Address, r mail.Reply) { t.outcome.refuse(a, r) }

// RefusedData tells that the front end refused the message without Accept.
func (t *Transaction) RefusedData(r mail.Reply) { t.outcome.reply = r }

// remember records what became of the transaction, if it named a recipient or its
// sender was refused.
func (t *Transaction) remember() {
	o := &t.outcome
	if len(t.Env.Recipients)+len(o.refused) == 0 && o.reply.Code == 0 {
		return
	}
	kind := t.kind()
	e := trace.Event{Kind: kind, ID: t.Env.TraceID, From: t.Env.ReversePath.String(), Hello: t.sess.Hello, By: doors[t.sess.Origin], Size: t.Size(), Reply: o.reply}
	if t.sess.Remote.IsValid() {
		e.Remote = t.sess.Remote.String()
	}
	if t.sess.Account != nil {
		e.Account = t.sess.Account.Address.String()
	}
	if t.staged != nil && t.staged.Message() != nil {
		e.MessageID = strings.Trim(string(t.staged.Message().Header.RawValue("Message-ID")), "<> \t\r\n")
	}
	e.To = append(o.told(t.Env.Recipients), o.refused...)
	e.Notes = make([]string, len(t.checked))
	for i := range t.checked {
		e.Notes[i] = noteOf(&t.checked[i])
	}
	if t.sess.Origin == FromServer { // as the queue and others name messages about a message
		if id, _, about := strings.Cut(e.ID, "-"); about && id != "report" {
			e.Parent = id
		}
	}
	t.s.opts.Trace.Record(&e)
	t.rememberWait(e)
}

// told are the fates of the recipients, in their order; one of whom nothing is known
// has an empty one.
func (o *outcome) told(recipients []mail.Recipient) []trace.Fate {
	slices.SortStableFunc(o.fates, func(a, b fate) int { return a.to - b.to })
	list := make([]trace.Fate, 0, len(recipients)+len(o.refused))
	fates := o.fates
	for i, r := range recipients {
		address := r.Address.String()
		n := len(list)
		for ; len(fates) > 0 && fates[0].to == i; fates = fates[1:] {
			list = append(list, fates[0].Fate)
			list[len(list)-1].Address = address
		}
		if len(list) == n {
			list = append(list, trace.Fate{Address: address})
		}
	}
	return list
}

// noteOf is what the trace keeps of a finding.
func noteOf(f *mail.Finding) string {
	var room [256]byte
	b := append(append(append(room[:0], f.Check...), ' '), f.Result...)
	if f.Text != "" {
		b = append(append(append(b, " ("...), f.Text...), ')')
	}
	if f.Weight != 0 {
		b = strconv.AppendInt(append(b, " weighs "...), int64(f.Weight), 10)
	}
	return string(b)
}

// rememberWait records that what was taken does not go on at once.
func (t *Transaction) rememberWait(e trace.Event) {
	until := t.Env.HoldUntil
	if until.IsZero() || e.Kind != trace.Received {
		return
	}
	wait := trace.Event{Kind: trace.Scheduled, ID: e.ID, Notes: []string{until.UTC().Format("2006-01-02 15:04:05 UTC")}}
	if t.held || !until.Before(mail.UntilReleased) {
		wait.Kind, wait.Notes = trace.Held, nil
		switch {
		case t.held:
			wait.Notes = []string{"its account sends more in a day than it may"}
		case t.quarantined:
			wait.Notes = []string{"a filter put it into quarantine"}
		}
	}
	t.s.opts.Trace.Record(&wait)
}

// kind is what the trace calls the transaction.
func (t *Transaction) kind() trace.Kind {
	o := &t.outcome
	switch {
	case o.reply.Positive() && t.sess.Origin == FromServer && t.Env.ReversePath.IsNull():
		return trace.Sent
	case o.reply.Positive():
		return trace.Received
	case o.reply.Code != 0:
		return trace.Refused
	case len(t.Env.Recipients) == 0: // all were refused
		o.reply = replyNoneTaken
		return trace.Refused
	}
	return trace.Abandoned
}

var replyNoneTaken = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 5, 1}, Text: "No recipient was accepted"}

// doors are the names of the origins, for the trace.
var doors = map[Origin]string{FromMX: "SMTP", FromSubmission: "submission", FromLMTP: "LMTP", FromServer: "this server"}
