package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) checkCommand() *cobra.Command {
	var in admin.Check
	c := &cobra.Command{
		Use: "check [--deep] [--repair]", Short: "Verify everything that is stored", Args: exactly(0, "no name"),
		Long: "Verify everything that is stored. Runs beside a running server. Exit code 6 if there are problems.\n" +
			"With --repair, damaged messages are mended first from the standby and from backups (backup.standby and backup.repair in\n" +
			"the configuration), and what can be made anew is: counts, memberships, threads, indexes, quotas.",
		Example: "  posthouse check\n  posthouse check --deep --repair",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Findings
			if err := a.call(c.Context(), "check", in, &out); err != nil {
				return err
			}
			err := a.print(out, out.Problems, func(t *table) {
				for _, m := range out.Mended {
					t.line("Mended: %s", m)
				}
				for _, p := range out.Problems {
					t.line("%s", p)
				}
				if out.More > 0 {
					t.line("… and %d more.", out.More)
				}
				if len(out.Problems) == 0 {
					t.line("All is well: %d accounts.", out.Accounts)
				}
			})
			if err == nil && len(out.Problems) > 0 {
				err = &exitError{code: exitProblems}
			}
			return err
		},
	}
	c.Flags().BoolVar(&in.Repair, "repair", false, "mend what is damaged, as far as there are copies")
	c.Flags().BoolVar(&in.Deep, "deep", false, "read every byte of every message too")
	return c
}
