package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) banCommand() *cobra.Command {
	return noun("ban", "Who may not try to log in for a while", a.banList(), a.banRemove())
}

func (a *app) banList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List networks whose logins are refused, and accounts at which logins are slow",
		Args: exactly(0, "no name"), Example: "  posthouse ban list",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Bans
			if err := a.call(c.Context(), "ban.list", admin.None{}, &out); err != nil {
				return err
			}
			return a.printBans(out)
		},
	}
}

func (a *app) printBans(out admin.Bans) error {
	var names []string
	for _, b := range out.Bans {
		names = append(names, b.Who)
	}
	return a.print(out, names, func(t *table) {
		if len(out.Bans) == 0 {
			t.line("Nobody is banned.")
			return
		}
		t.row("WHO", "LOGINS", "FAILED", "UNTIL")
		for _, b := range out.Bans {
			t.row(b.Who, b.What, b.Failed, b.Until)
		}
	})
}

func (a *app) banRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NETWORK", Short: "Forget the failed logins of a network, or of an account", Args: exactly(1, "an address, a network or an account"),
		Example: "  posthouse ban remove 203.0.113.9\n  posthouse ban remove ada@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Bans
			if err := a.call(c.Context(), "ban.remove", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			if a.json || a.quiet {
				return a.printBans(out)
			}
			for _, b := range out.Bans {
				a.say("%s may try again.", b.Who)
			}
			return nil
		},
	}
}
