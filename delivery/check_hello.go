package delivery

import (
	"context"

	"posthouse/mail"
)

// checkHello weighs the name that a client gives itself, RFC 5321 §4.1.4: spam comes
// from machines that claim to be us, or that do not know their own name.
var checkHello = stage{name: "helo",
	envelope: func(_ context.Context, t *Transaction) Verdict {
		h := t.found.peer.helo
		if h.word == "" {
			return Verdict{}
		}
		return Verdict{Findings: []mail.Finding{{Check: "helo", Result: h.word, Text: t.sess.Hello, Weight: h.weight}}}
	},
}

// earlyWeight makes junk of what a client brings that does not wait to be greeted (RFC
// 5321 §3.1): programs that only send do not read what is answered.
const earlyWeight = 6

// checkEarly weighs that the client spoke first.
var checkEarly = stage{name: "early",
	envelope: func(_ context.Context, t *Transaction) Verdict {
		if !t.sess.Early {
			return Verdict{}
		}
		return Verdict{Findings: []mail.Finding{{Check: "early", Result: "fail", Text: "spoke before it was greeted", Weight: earlyWeight}}}
	},
}
