package queue

import (
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/trace"
)

// tell records what became of an entry, for who asks where the message is.
func (e *entry) tell(ev trace.Event) {
	ev.ID, ev.Queue, ev.From = e.rec.env.TraceID, e.it.id.String(), e.rec.env.ReversePath.String()
	ev.At = e.q.opts.Now()
	e.q.opts.Trace.Record(&ev)
}

// fates are what is known now of some recipients. What the whole event says is not said
// again.
func (e *entry) fates(idx []int, said mail.Reply) []trace.Fate {
	list := make([]trace.Fate, 0, len(idx))
	for _, i := range idx {
		rs := &e.st.rcpts[i]
		f := trace.Fate{Address: e.address(i).String(), Became: becameOf[rs.status]}
		if rs.reply != said {
			f.Detail = rs.reply.String()
		}
		list = append(list, f)
	}
	return list
}

// becameOf are the trace's words for a status.
var becameOf = [...]trace.Became{stWaiting: trace.Deferred, stDelivered: trace.Relayed, stRelayed: trace.Relayed, stFailed: trace.Turned, stExpired: trace.Expired}

// tellAttempt records that a server was asked, or could not be.
func (e *entry) tellAttempt(l *attemptLine) {
	ev := trace.Event{Kind: trace.Attempt, Remote: l.remote, Reply: l.reply, To: e.fates(l.idx, l.reply)}
	switch {
	case l.paused:
		ev.Kind, ev.Notes = trace.Unreachable, []string{"not asked again so soon"}
	case !l.asked:
		ev.Kind = trace.Unreachable
	case l.tls:
		name, _, _ := strings.Cut(l.policy, " ")
		ev.Notes = []string{"over TLS", name}
		if name == "" {
			ev.Notes = ev.Notes[:1]
		}
	}
	e.tell(ev)
}

// tellOutcome records what an attempt or an operator brought about: who was given up, what
// the sender is told, and when it is tried again.
func (e *entry) tellOutcome(rep report, expired []int, told bool) {
	if len(expired) > 0 {
		e.tell(trace.Event{Kind: trace.GivenUp, To: e.fates(expired, mail.Reply{})})
	}
	if told {
		var notes []string
		for _, part := range []struct {
			word string
			idx  []int
		}{{"it failed", rep.failed}, {"it was passed on", rep.relayed}, {"it is delayed", rep.delayed}} {
			if len(part.idx) > 0 {
				var names []string
				for _, i := range part.idx {
					names = append(names, e.address(i).String())
				}
				notes = append(notes, part.word+" for "+strings.Join(names, " and "))
			}
		}
		e.tell(trace.Event{Kind: trace.Reported, Notes: notes})
	}
	if len(e.pending()) > 0 && e.st.next != never {
		e.tell(trace.Event{Kind: trace.Waiting, Notes: []string{time.Unix(0, e.st.next).UTC().Format("2006-01-02 15:04:05 UTC")}})
	}
}

// operated records what an operator did, if it was done.
func (e *entry) operated(err error, what string) error {
	if err == nil {
		e.tell(trace.Event{Kind: trace.Operated, Notes: []string{what}})
	}
	return err
}
