package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
)

func (a *app) queueSuppressed() *cobra.Command {
	return noun("suppressed", "Addresses elsewhere that accounts here do not write to, for mail to them came back", a.suppressedList(), a.suppressedAdd(), a.suppressedRemove())
}

func (a *app) suppressedList() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "list", Short: "List them, with reason and end", Args: exactly(0, "no name"), Example: "  posthouse queue suppressed list --from example.org",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Suppressions
			if err := a.call(c.Context(), "queue.suppressed", admin.SuppressedPick{Domain: from}, &out); err != nil {
				return err
			}
			var names []string
			for _, s := range out.Suppressions {
				names = append(names, s.To)
			}
			return a.print(out, names, func(t *table) {
				if len(out.Suppressions) == 0 {
					t.line("None.")
					return
				}
				t.row("FROM", "TO", "STOPPED", "REASON", "SINCE", "UNTIL", "SAID")
				for _, s := range out.Suppressions {
					t.row(s.From, s.To, s.Stops, s.Reason, s.Since, s.Until, orDash(s.Said))
				}
			})
		},
	}
	c.Flags().StringVar(&from, "from", "", "`domain` here")
	return c
}

func (a *app) suppressedAdd() *cobra.Command {
	var in admin.Suppress
	var wait string
	c := &cobra.Command{
		Use: "add ADDRESS --from DOMAIN", Short: "Let accounts of a domain not write to an address", Args: exactly(1, "an address"),
		Example: "  posthouse queue suppressed add bob@far.example --from example.org --for 90d",
		RunE: func(c *cobra.Command, args []string) error {
			if in.Address = args[0]; in.Domain == "" {
				return usage("say whose accounts: --from DOMAIN")
			}
			if wait != "" {
				d, err := config.ParseDuration(wait)
				if err != nil || d <= 0 {
					return usage("say for how long, as --for 90d")
				}
				in.Seconds = int64(d.Duration().Seconds())
			}
			var out admin.Suppressions
			if err := a.call(c.Context(), "queue.suppress", in, &out); err != nil {
				return err
			}
			return a.print(out, []string{in.Address}, func(t *table) { t.line("Accounts of %s do not write to %s.", in.Domain, in.Address) })
		},
	}
	c.Flags().StringVar(&in.Domain, "from", "", "`domain` here")
	c.Flags().StringVar(&wait, "for", "", "`time`, as 90d (default: queue.suppress)")
	c.Flags().StringVar(&in.Why, "why", "", "`text` for those who want to write")
	return c
}

func (a *app) suppressedRemove() *cobra.Command {
	var in admin.SuppressedPick
	c := &cobra.Command{
		Use: "remove ADDRESS", Short: "Let accounts write to an address again", Args: exactly(1, "an address"),
		Example: "  posthouse queue suppressed remove bob@far.example",
		RunE: func(c *cobra.Command, args []string) error {
			in.Address = args[0]
			var out admin.Suppressions
			if err := a.call(c.Context(), "queue.unsuppress", in, &out); err != nil {
				return err
			}
			return a.print(out, []string{in.Address}, func(t *table) { t.line("%s can be written to again.", in.Address) })
		},
	}
	c.Flags().StringVar(&in.Domain, "from", "", "only by accounts of this `domain`")
	return c
}
