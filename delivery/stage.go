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
		checkHeader,
		checkLoop,
		checkFrom,
		checkDNSBL,
		checkIPRev,
		checkSPF,
		checkDKIM,
		checkARC,
		checkDMARC,
	}
}

// A stage is one check between the end of the data and the mailbox. A nil field
// is no check.
type stage struct {
	name string
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
}

func reject(r mail.Reply) Verdict { return Verdict{Action: Reject, Reply: r} }

// final reports whether no later stage can change v.
func (v Verdict) final() bool { return v.Action == Reject || v.Action == Defer || v.Action == Discard }

// judge runs all stages over a finished message. It returns the verdict for each
// recipient and fills in t.authResults.
func (t *Transaction) judge(ctx context.Context) []Verdict {
	h := &t.staged.Message().Header
	verdicts := make([]Verdict, len(t.Env.Recipients))
	for _, st := range t.s.stages {
		if st.message != nil {
			v := st.message(ctx, t, h)
			t.authResults = append(t.authResults, v.AuthResults...)
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
