package main

import (
	"time"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) traceCommand() *cobra.Command {
	var in admin.TraceFind
	var since, until string
	c := &cobra.Command{
		Use: "trace [WHAT]", Short: "Tell what became of a message", Args: cobra.MaximumNArgs(1),
		Long: "Tell what became of a message, in plain words: how it came, how it was judged, where it went, and what other\n" +
			"servers said, also of mail that was refused. WHAT is an address, a Message-ID, or an id from a log line, a reply\n" +
			"or the queue. Nothing is known of mail older than trace.keep of the configuration.",
		Example: "  posthouse trace ada@example.org\n  posthouse trace --from eve@example.net --to ada@example.org --since 2h",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				in.What = args[0]
			}
			var err error
			if in.Since, err = moment(since); err == nil {
				in.Until, err = moment(until)
			}
			if err != nil {
				return err
			}
			var out admin.Traces
			if err := a.call(c.Context(), "trace.find", in, &out); err != nil {
				return err
			}
			var ids []string
			for _, m := range out.Messages {
				ids = append(ids, m.ID)
			}
			return a.print(out, ids, func(t *table) { traceTable(t, out) })
		},
	}
	f := c.Flags()
	f.StringVar(&in.From, "from", "", "only from this `address`; <> is the sender of reports")
	f.StringVar(&in.To, "to", "", "only to this `address`")
	f.StringVar(&in.MessageID, "message-id", "", "only with this `Message-ID`")
	f.StringVar(&since, "since", "", "only what happened after this `time`: 2026-11-23, 2026-11-23T09:30:00Z, or 2h ago")
	f.StringVar(&until, "until", "", "and before this `time`")
	f.IntVar(&in.Limit, "limit", 0, "at most so many messages, the newest (default 20)")
	return c
}

func traceTable(t *table, out admin.Traces) {
	if len(out.Messages) == 0 {
		t.line("Nothing is known of such a message.")
		return
	}
	for i, m := range out.Messages {
		if i > 0 {
			t.line("")
		}
		t.line("Message %s", m.ID)
		for _, s := range m.Story {
			t.line("  %s  %s", t.app.moment(s.At), s.Text)
		}
	}
	if out.More {
		t.line("… and older ones: say more about what you look for, or raise --limit.")
	}
}

// moment is a time with its seconds.
func (a *app) moment(at time.Time) string {
	if a.tty {
		return at.Local().Format("2006-01-02 15:04:05")
	}
	return at.UTC().Format(time.RFC3339)
}

// moment reads a time that somebody typed: a day, an instant, or how long ago.
func moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-ago.Abs()), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("%q is not a time, as 2026-11-23, 2026-11-23T09:30:00Z or 2h", s)
}
