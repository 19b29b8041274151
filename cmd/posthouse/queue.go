package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
)

func (a *app) queueCommand() *cobra.Command {
	return noun("queue", "Mail that waits for other servers",
		a.queueList(), a.queueShow(),
		a.queueChange("retry", "Attempt delivery now", "Will be attempted now: %d."),
		a.queueChange("hold", "Stop attempts until released", "Held: %d."),
		a.queueChange("release", "Go on after hold", "Released: %d."),
		a.queueChange("bounce", "Give up and tell the senders", "Given up: %d; the senders are told."),
		a.queueChange("drop", "Remove without telling anybody", "Removed: %d; nobody is told."),
		a.queueReroute(), a.queueExpire(), a.queueProviders(), a.queueSuppressed())
}

func (a *app) queueReroute() *cobra.Command {
	var in admin.QueueReroute
	var mx bool
	c := &cobra.Command{
		Use: "reroute ID... | --domain DOMAIN --to HOST:PORT | --mx", Short: "Send messages to another server than their domain says", ValidArgsFunction: a.complete(0, "queue.list"),
		Example: "  posthouse queue reroute --domain example.net --to relay.example.com:25\n  posthouse queue reroute 3f2a --mx",
		RunE: func(c *cobra.Command, args []string) error {
			if in.IDs = args; mx == (in.To != "") {
				return usage("say where to: --to HOST:PORT, or --mx for where the domain says")
			}
			var out admin.QueueChanged
			if err := a.call(c.Context(), "queue.reroute", in, &out); err != nil {
				return err
			}
			return a.print(out, out.IDs, func(t *table) { t.line("Rerouted: %d.", len(out.IDs)) })
		},
	}
	pickFlags(c, &in.QueuePick)
	c.Flags().StringVar(&in.To, "to", "", "`host:port` of the server")
	c.Flags().BoolVar(&mx, "mx", false, "where configuration and MX say, again")
	return c
}

func (a *app) queueExpire() *cobra.Command {
	var in admin.QueueExpire
	var wait string
	c := &cobra.Command{
		Use: "expire ID... | --domain DOMAIN --in TIME", Short: "Change when messages are given up", ValidArgsFunction: a.complete(0, "queue.list"),
		Example: "  posthouse queue expire 3f2a --in 12h\n  posthouse queue expire --domain example.net --in 10d",
		RunE: func(c *cobra.Command, args []string) error {
			d, err := config.ParseDuration(wait)
			if err != nil || d <= 0 {
				return usage("say in how long, as --in 12h or --in 10d")
			}
			in.IDs, in.Seconds = args, int64(d.Duration().Seconds())
			var out admin.QueueChanged
			if err := a.call(c.Context(), "queue.expire", in, &out); err != nil {
				return err
			}
			return a.print(out, out.IDs, func(t *table) { t.line("Changed: %d.", len(out.IDs)) })
		},
	}
	pickFlags(c, &in.QueuePick)
	c.Flags().StringVar(&wait, "in", "", "`time` from now, as 12h or 10d")
	return c
}

func pickFlags(c *cobra.Command, in *admin.QueuePick) {
	c.Flags().StringVar(&in.Domain, "domain", "", "all that goes to this `domain`")
	c.Flags().StringVar(&in.From, "from", "", "all from this `address`; \"<>\" is reports")
	c.Flags().BoolVar(&in.All, "all", false, "the whole queue")
}

func (a *app) queueList() *cobra.Command {
	var in admin.QueueList
	c := &cobra.Command{
		Use: "list [--domain DOMAIN]", Short: "List what waits", Args: exactly(0, "no name"),
		Example: "  posthouse queue list\n  posthouse queue list --domain example.net",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.QueueMessages
			if err := a.call(c.Context(), "queue.list", in, &out); err != nil {
				return err
			}
			var ids []string
			for _, m := range out.Messages {
				ids = append(ids, m.ID)
			}
			return a.print(out, ids, func(t *table) { queueTable(t, out) })
		},
	}
	c.Flags().StringVar(&in.Domain, "domain", "", "only what goes to this `domain`")
	c.Flags().IntVar(&in.Limit, "limit", 0, "at most so many (default 1,000)")
	return c
}

func queueTable(t *table, out admin.QueueMessages) {
	if len(out.Messages) == 0 {
		t.line("The queue is empty.")
		return
	}
	t.row("ID", "ARRIVED", "SIZE", "FROM", "TO", "TRIES", "NEXT", "LAST REPLY")
	for _, m := range out.Messages {
		id, arrived, bytes, from, tries, next := m.ID, t.app.when(m.Arrived), size(m.Size), "<"+m.From+">", fmt.Sprint(m.Attempts), nextAttempt(t.app, m)
		for _, r := range m.Recipients {
			t.row(id, arrived, bytes, from, r.Address, tries, next, orDash(shorten(r.LastReply, 60)))
			id, arrived, bytes, from, tries, next = "", "", "", "", "", ""
		}
	}
	if out.More > 0 {
		t.line("… and %d more: raise --limit.", out.More)
	}
}

func nextAttempt(a *app, m admin.QueueMessage) string {
	switch {
	case m.Held:
		return "held"
	case m.Sending:
		return "now"
	}
	return a.when(m.NextAttempt)
}

func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

func (a *app) queueShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one message with each recipient's last reply", Args: exactly(1, "the id of a message"), ValidArgsFunction: a.complete(1, "queue.list"),
		Example: "  posthouse queue show 3f2a",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.QueueDetail
			if err := a.call(c.Context(), "queue.show", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			return a.print(out, []string{out.ID}, func(t *table) {
				t.row("Id", out.ID)
				t.row("Trace", orDash(out.TraceID))
				t.row("From", "<"+out.From+">")
				t.row("Size", size(out.Size))
				t.row("Arrived", out.Arrived)
				t.row("Goes to", out.Destination)
				t.row("Attempts", out.Attempts)
				t.row("Next", nextAttempt(a, out.QueueMessage))
				t.row("Given up", out.Expires)
				for _, r := range out.Recipients {
					t.line("")
					t.row("To", r.Address)
					t.row("  State", orDash(r.State))
					t.row("  Last reply", orDash(r.LastReply))
					t.row("  From", orDash(r.Host))
				}
			})
		},
	}
}

func (a *app) queueChange(verb, short, done string) *cobra.Command {
	var in admin.QueuePick
	var yes, dry bool
	final := verb == "bounce" || verb == "drop"
	c := &cobra.Command{
		Use: verb + " ID... | --domain DOMAIN | --all", Short: short, ValidArgsFunction: a.complete(0, "queue.list"),
		Example: fmt.Sprintf("  posthouse queue %s 3f2a\n  posthouse queue %s --domain example.net", verb, verb),
		RunE: func(c *cobra.Command, args []string) error {
			in.IDs = args
			if final {
				if len(args) == 0 && in.Domain == "" && in.From == "" && !in.All {
					return usage("name the messages: ids, --domain, --from or --all")
				}
				if dry {
					a.say("These messages would be given up. Nothing was changed.")
					return nil
				}
				what := "These messages are given up and their senders told."
				if verb == "drop" {
					what = "These messages are given up and nobody is told."
				}
				if err := a.confirm(yes, what); err != nil {
					return err
				}
			}
			var out admin.QueueChanged
			if err := a.call(c.Context(), "queue."+verb, in, &out); err != nil {
				return err
			}
			return a.print(out, out.IDs, func(t *table) { t.line(done, len(out.IDs)) })
		},
	}
	pickFlags(c, &in)
	if final {
		confirmFlags(c, &yes, &dry)
	}
	return c
}
