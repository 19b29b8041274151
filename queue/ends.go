package queue

import (
	"context"
	"log/slog"
)

// ends are the recipients whose fate was decided since the entry was last
// committed.
func (e *entry) ends() []int {
	var idx []int
	for i := range e.st.rcpts {
		if rs := &e.st.rcpts[i]; rs.status != stWaiting && !rs.reported {
			idx = append(idx, i)
		}
	}
	return idx
}

// logEnds writes the one line that ends a recipient's story: what became of it,
// after how many attempts, in the words of the last server that was asked.
func (q *Queue) logEnds(e *entry, idx []int) {
	for _, i := range idx {
		rs := &e.st.rcpts[i]
		level := slog.LevelInfo
		if rs.status == stFailed || rs.status == stExpired {
			level = slog.LevelWarn
		}
		q.opts.Logger.LogAttrs(context.WithoutCancel(q.ctx), level, "queue: finished",
			slog.String("tid", e.rec.env.TraceID), slog.String("id", e.it.id.String()),
			slog.String("to", e.address(i).String()), slog.String("status", stateNames[rs.status]),
			slog.Int("attempts", e.st.attempts), slog.String("reply", rs.reply.String()))
	}
}
