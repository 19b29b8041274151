package delivery

import (
	"context"

	"posthouse/mail"
	"posthouse/mailauth/authres"
	"posthouse/message"
)

// stages lists the checks in the order in which they run. To add one, write its
// check_*.go and its tests, and add it here.
func stages() []stage {
	return []stage{
		checkEarly,
		checkHello,
		checkSender,
		checkHeader,
		checkLoop,
		checkList,
		checkFrom,
		checkDNSBL,
		checkIPRev,
		checkSPF,
		checkDKIM,
		checkARC,
		checkDMARC,
		checkHook,
		checkWeight,
		checkReport,
	}
}

// A stage is one check between the end of the data and the mailbox. A nil field
// is no check.
type stage struct {
	name string
	// envelope is run before the bytes of a message from another server are taken, when
	// t.found knows its peer and sender. What it refuses is not sent to us.
	envelope func(ctx context.Context, t *Transaction) Verdict
	// message is run once. Its verdict holds for all recipients.
	message func(ctx context.Context, t *Transaction, h *message.Header) Verdict
	// recipient is run for each local recipient that no verdict has refused yet.
	recipient func(ctx context.Context, t *Transaction, h *message.Header, r mail.Recipient) Verdict
}

// An Action is what a stage wants done.
type Action uint8

// The actions. What is refused or deferred is not stored.
const (
	Accept   Action = iota // go on
	Reject                 // refuse with Reply, 5xx
	Defer                  // refuse with Reply, 4xx
	FileInto               // deliver to Mailbox, or to the one with Role, instead of the inbox
	Discard                // say 250 and store nothing
)

// A Verdict is the outcome of a stage. The zero Verdict accepts.
type Verdict struct {
	Action  Action
	Reply   mail.Reply // of Reject and Defer
	Mailbox string     // path, of FileInto
	Role    mail.Role  // of FileInto, if Mailbox is ""
	// AuthResults are the stage's clauses of the Authentication-Results field, RFC
	// 8601 §2.2.
	AuthResults []authres.Clause
	// Weight of AuthResults, as in mail.Finding.
	Weight int
	// Findings are those that do not stand in AuthResults.
	Findings []mail.Finding
}

func reject(r mail.Reply) Verdict { return Verdict{Action: Reject, Reply: r} }

// final reports whether no later stage can change v.
func (v Verdict) final() bool { return v.Action == Reject || v.Action == Defer || v.Action == Discard }

// learn keeps what a stage found out.
func (t *Transaction) learn(v Verdict) {
	if t.checked == nil && len(v.AuthResults)+len(v.Findings) > 0 {
		t.checked, t.authResults = make([]mail.Finding, 0, 8), make([]authres.Clause, 0, 6)
	}
	t.authResults = append(t.authResults, v.AuthResults...)
	for i := range v.AuthResults {
		c := &v.AuthResults[i]
		f := mail.Finding{Check: c.Method, Result: c.Result, Text: explain(c)}
		if i == 0 {
			f.Weight = v.Weight
		}
		t.checked = append(t.checked, f)
	}
	t.checked = append(t.checked, v.Findings...)
}

// explain is what a clause says beside its result.
func explain(c *authres.Clause) string {
	var room [256]byte
	b := append(room[:0], c.Comment...)
	if c.Reason != "" {
		b = append(comma(b), c.Reason...)
	}
	for _, p := range c.Props {
		if p.Value != "" && p.Name != "b" {
			b = append(append(append(comma(b), p.Type...), '.'), p.Name...)
			b = append(append(b, '='), p.Value...)
		}
	}
	return string(b)
}

// comma goes between two things.
func comma(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	return append(b, ", "...)
}

// admit runs the envelope's checks of a message from another server.
func (t *Transaction) admit(ctx context.Context) mail.Reply {
	for _, st := range t.s.stages {
		if st.envelope == nil {
			continue
		}
		v := st.envelope(ctx, t)
		t.learn(v)
		if v.final() {
			return v.Reply
		}
		if v.Action != Accept {
			t.entry = v
		}
	}
	return mail.Reply{}
}

// judge runs all stages over a finished message. It returns the verdict for each
// recipient and fills in t.authResults.
func (t *Transaction) judge(ctx context.Context) []Verdict {
	verdicts := make([]Verdict, len(t.Env.Recipients))
	for i := range verdicts {
		verdicts[i] = t.entry
	}
	for _, st := range t.s.stages {
		h := &t.staged.Message().Header // a hook may have made it another message
		if st.message != nil {
			v := st.message(ctx, t, h)
			t.learn(v)
			for len(verdicts) < len(t.Env.Recipients) { // a hook added some
				verdicts = append(verdicts, t.entry)
			}
			if v.final() {
				for i := range verdicts {
					verdicts[i] = v
				}
				return verdicts
			}
			if v.Action != Accept {
				for i := range verdicts {
					verdicts[i] = v
				}
			}
		}
		if st.recipient == nil {
			continue
		}
		for i, r := range t.Env.Recipients {
			if verdicts[i].final() {
				continue
			}
			if v := st.recipient(ctx, t, h, r); v.Action != Accept {
				verdicts[i] = v
			}
		}
	}
	return verdicts
}
