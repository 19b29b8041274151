package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) queueProviders() *cobra.Command {
	return &cobra.Command{
		Use: "providers", Short: "Show how groups of servers are treated, and how they do", Args: exactly(0, "no name"), Example: "  posthouse queue providers",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Providers
			if err := a.call(c.Context(), "queue.providers", struct{}{}, &out); err != nil {
				return err
			}
			var names []string
			for _, p := range out.Providers {
				names = append(names, p.Name)
			}
			return a.print(out, names, func(t *table) {
				t.row("SERVERS OF", "FROM", "CONNECTIONS", "MESSAGES EACH", "A MINUTE", "RESTS", "NOW")
				for _, p := range out.Providers {
					rate := "any"
					if p.PerMinute > 0 {
						rate = fmt.Sprint(p.PerMinute)
					}
					t.row(p.Name, p.Source, fmt.Sprint(p.Connections), fmt.Sprint(p.PerConnection), rate, fmt.Sprintf("%s to %s", seconds(p.Rest), seconds(p.MostRest)), doing(p))
				}
			})
		},
	}
}

func seconds(s float64) string { return time.Duration(s * float64(time.Second)).String() }

// doing is how a provider does at the moment.
func doing(p admin.Provider) string {
	switch {
	case !p.Present:
		return ""
	case p.RestUntil != nil:
		return fmt.Sprintf("%d wait, rests until %s", p.Waiting, p.RestUntil.Format("15:04:05"))
	}
	return fmt.Sprintf("%d wait, %d of %d connections", p.Waiting, p.Working, p.Window)
}
