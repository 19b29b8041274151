package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/publish"
)

func (a *app) domainKeys() *cobra.Command {
	var rotate, look bool
	c := &cobra.Command{
		Use: "keys DOMAIN", Short: "Show the keys that sign a domain's mail, and what to do about their DNS records", Args: exactly(1, "a domain"),
		Long: "Show the keys that sign a domain's mail (DKIM), whether DNS has their records, and what to do.\n\n" +
			"Keys change by themselves (dkim.rotate). New ones are announced first: publish their records. They sign once the\n" +
			"records have been seen for a while (dkim.settle). The records of the old ones stay until what they signed has\n" +
			"arrived; then this says that they may be deleted.",
		ValidArgsFunction: a.complete(1, "domain.list"),
		Example:           "  posthouse domain keys example.org\n  posthouse domain keys example.org --rotate",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.SigningKeys
			var err error
			if rotate || look {
				err = a.call(c.Context(), "domain.advance-keys", admin.AdvanceKeys{Name: args[0], Fresh: rotate}, &out)
			} else {
				err = a.call(c.Context(), "domain.keys", admin.Named{Name: args[0]}, &out)
			}
			if err != nil {
				return err
			}
			return a.printKeys(args[0], out)
		},
	}
	c.Flags().BoolVar(&rotate, "rotate", false, "announce new keys now (if some are announced already, they are the ones)")
	c.Flags().BoolVar(&look, "look", false, "look at DNS now and go on from there: else the server does so every half hour")
	return c
}

func (a *app) printKeys(domain string, out admin.SigningKeys) error {
	var names []string
	for _, k := range out.Keys {
		names = append(names, k.Selector)
	}
	err := a.print(out, names, func(t *table) {
		if len(out.Keys) == 0 {
			t.line("No keys: mail of %s is not signed. posthouse domain records %s makes them.", domain, domain)
			return
		}
		t.row("SELECTOR", "KIND", "STATE", "SINCE", "DNS")
		for _, k := range out.Keys {
			t.row(k.Selector, k.Kind, k.State, k.Since, k.DNS)
		}
	})
	if err != nil || a.json || a.quiet {
		return err
	}
	for _, k := range out.Keys {
		if k.Advice == "" {
			continue
		}
		mark := ""
		if k.Act {
			mark = "TO DO: "
		}
		a.say("")
		a.say("%s: %s%s", k.Selector, mark, clean(k.Advice))
		if k.Why != "" {
			a.say("  %s: %s", k.Name, clean(k.Why))
		}
		if k.Act && k.Value != "" {
			a.say("  %s", publish.ZoneLine(publish.Record{Name: k.Name, Type: "TXT", Value: k.Value}))
		}
	}
	return nil
}
