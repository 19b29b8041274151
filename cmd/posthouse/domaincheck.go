package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) domainCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check DOMAIN", Short: "Look whether DNS and the network have what a domain needs", Args: exactly(1, "a domain"),
		Long: "Look whether DNS and the network have what a domain needs: each line is ok, a warning or an error, with what to do.\n\n" +
			"Exits with 6 if there are errors.",
		ValidArgsFunction: a.complete(1, "domain.list"), Example: "  posthouse domain check example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.DomainFindings
			if err := a.call(c.Context(), "domain.check", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			var names []string
			for _, f := range out.Findings {
				if f.Level != "ok" {
					names = append(names, f.Check)
				}
			}
			err := a.print(out, names, func(t *table) {
				for _, f := range out.Findings {
					for i, l := range wrapped(f.Text, 90) {
						level, check := f.Level, f.Check
						if i > 0 {
							level, check = "", ""
						}
						t.row(level, check, l)
					}
					for i, l := range wrapped(f.Fix, 87) {
						mark := "-> "
						if i > 0 {
							mark = "   "
						}
						t.row("", "", mark+l)
					}
				}
			})
			if err == nil && out.Errors > 0 {
				err = &exitError{code: exitProblems}
			}
			return err
		},
	}
}
