package main

import (
	"time"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
)

func (a *app) accountUndelete() *cobra.Command {
	var since string
	c := &cobra.Command{
		Use: "undelete ADDRESS", Short: "Put back mail that was deleted for good", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Long: "Put back mail that was deleted for good and not longer ago than limits.reap_after: each message into\n" +
			"the mailbox that it was in last, or into one named Restored if that is gone. What is still in some\n" +
			"mailbox, as the Trash, stays there.",
		Example: "  posthouse account undelete ada@example.org --since 2d\n  posthouse account undelete ada@example.org --since 2026-11-23T08:00:00Z",
		RunE: func(c *cobra.Command, args []string) error {
			in := admin.AccountUndelete{Name: args[0]}
			var err error
			if in.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			var out admin.Undeleted
			if err := a.call(c.Context(), "account.undelete", in, &out); err != nil {
				return err
			}
			var names []string
			for _, m := range out.Mailboxes {
				names = append(names, m.Path)
			}
			return a.print(out, names, func(t *table) {
				if out.Messages == 0 {
					t.line("There is nothing to put back.")
					return
				}
				t.row("MAILBOX", "PUT BACK")
				for _, m := range out.Mailboxes {
					t.row(m.Path, m.Messages)
				}
			})
		},
	}
	c.Flags().StringVar(&since, "since", "", "only what was deleted since this `time`, as 2026-11-23, 2026-11-23T08:00:00Z, or 36h or 2d ago (default: all)")
	return c
}

// parseSince reads a time, a day, or how long ago.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return at, nil
		}
	}
	d, err := config.ParseDuration(s)
	if err != nil {
		return time.Time{}, usage("--since: %q is neither a time as 2026-11-23T08:00:00Z, nor a day, nor how long ago, as 36h or 2d", s)
	}
	return now.Add(-d.Duration()), nil
}
