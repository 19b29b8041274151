package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "What the server is doing", Args: exactly(0, "no name"),
		Long: "What the server is doing. Exit code 6 if something is wrong.", Example: "  posthouse status --json",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Status
			if err := a.call(c.Context(), "status", admin.None{}, &out); err != nil {
				return err
			}
			err := a.print(out, nil, func(t *table) { statusTable(t, out) })
			if err == nil && len(out.Problems) > 0 {
				err = &exitError{code: exitProblems}
			}
			return err
		},
	}
}

func statusTable(t *table, out admin.Status) {
	if s := out.Server; s != nil {
		t.row("Server", fmt.Sprintf("%s, version %s, process %d", s.Hostname, s.Version, s.PID))
		t.row("Running", time.Since(s.Started).Round(time.Second))
	} else {
		t.row("Server", "not running")
	}
	t.row("Domains", out.Domains)
	t.row("Store", fmt.Sprintf("%s used, %s free", size(int64(out.Store.UsedBytes)), size(int64(out.Store.FreeBytes))))
	if s := out.Server; s != nil {
		for _, l := range s.Listeners {
			t.row("Listening", l.Face+" "+l.Address)
		}
		names := make([]string, 0, len(s.Figures))
		for n := range s.Figures {
			names = append(names, n)
		}
		slices.Sort(names)
		t.line("")
		for _, n := range names {
			t.row(n, s.Figures[n])
		}
	}
	for _, p := range out.Problems {
		t.line("Problem: %s", p)
	}
}
