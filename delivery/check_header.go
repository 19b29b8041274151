package delivery

import (
	"context"

	"posthouse/message"
)

// checkHeader refuses what cannot be looked at whole: a check that sees only the
// beginning of a header can be led astray.
var checkHeader = stage{name: "header",
	message: func(_ context.Context, t *Transaction, _ *message.Header) Verdict {
		if t.staged.Message().Parts[0].BodyStart > t.s.opts.Limits.HeaderBytes {
			return reject(replyLongHeader)
		}
		return Verdict{}
	},
}
