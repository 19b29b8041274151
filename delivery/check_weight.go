package delivery

import (
	"context"
	"slices"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/message"
)

// checkWeight adds up what the other checks weigh, the last of all: no one sign that
// honest servers show too makes junk, but several together do.
var checkWeight = stage{name: "weight",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		if t.findings(ctx, h) == nil || t.s.opts.Checks.Mode == MarkOnly {
			return Verdict{}
		}
		switch sum := t.weight(); {
		case sum >= refuseWeight:
			return reject(mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "This looks like junk: " + t.worstSigns()})
		case sum >= junkWeight:
			return Verdict{Action: FileInto, Role: mail.RoleJunk}
		}
		return Verdict{}
	},
}

// weight is the sum so far.
func (t *Transaction) weight() (sum int) {
	for i := range t.checked {
		sum += t.checked[i].Weight
	}
	return sum
}

// worstSigns names the checks that weigh most, for who is refused.
func (t *Transaction) worstSigns() string {
	signs := slices.DeleteFunc(slices.Clone(t.checked), func(f mail.Finding) bool { return f.Weight <= 0 })
	slices.SortStableFunc(signs, func(a, b mail.Finding) int { return b.Weight - a.Weight })
	var words []string
	for _, f := range signs[:min(len(signs), 3)] {
		words = append(words, f.Check+" "+f.Result)
	}
	return strings.Join(words, ", ")
}

// suspectWeight is what makes a client wait: less than what makes junk, for waiting
// loses nothing.
const suspectWeight = 3

// Pause is how long the client should wait for the answer to Open: who shows signs of
// a spammer is slowed, never refused for that. Ask after Open.
func (t *Transaction) Pause() time.Duration {
	c := t.s.opts.Checks
	if t.found == nil || c.Mode == MarkOnly || c.Pause <= 0 {
		return 0
	}
	sum := t.weight() + max(0, t.found.peer.listed.Weight)
	if t.found.peer.iprev.Status.Bad() {
		sum += iprevWeight
	}
	if sum < suspectWeight {
		return 0
	}
	return min(c.Pause*time.Duration(sum)/suspectWeight, maxPause)
}

// maxPause is far below the two minutes that a client waits after DATA (RFC 5321
// §4.5.3.2.4).
const maxPause = 30 * time.Second
