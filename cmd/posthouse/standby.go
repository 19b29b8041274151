package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"posthouse/server"
)

func (a *app) standbyCommand() *cobra.Command {
	return noun("standby", "A second copy that takes over", a.standbyFollowCommand(), a.standbyPromoteCommand(), a.standbyStatusCommand())
}

func (a *app) standbyFollowCommand() *cobra.Command {
	from := ""
	c := &cobra.Command{
		Use: "follow DIR", Short: "Keep a standby ready", Args: exactly(1, "the standby's data directory"),
		Long: "Keep the standby in DIR ready, to which a server ships (backup.standby in its configuration), until it is\n" +
			"promoted. Without this nothing is lost either, but the promotion takes longer.\n" +
			"If the server ships elsewhere, name that place with --from, once: DIR becomes and stays a copy of it. It may be\n" +
			"s3://BUCKET/PATH, see [s3] of the configuration.",
		Example: "  posthouse standby follow /srv/standby\n  posthouse standby follow /srv/standby --from s3://mail/standby",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			return server.Follow(c.Context(), cfg, from, args[0], func(at uint64, err error) {
				if err != nil {
					fmt.Fprintln(a.errOut, "posthouse: "+errorText(err))
					return
				}
				a.say("position %d", at)
			})
		},
	}
	c.Flags().StringVar(&from, "from", "", "where the server ships to, if that is not DIR")
	return c
}

// promoted is the answer of standby promote.
type promoted struct {
	V int `json:"v"`
	server.Promoted
}

func (a *app) standbyPromoteCommand() *cobra.Command {
	yes, alone := false, false
	c := &cobra.Command{
		Use: "promote DIR", Short: "Make a standby the server's data directory", Args: exactly(1, "the standby's data directory"),
		Long: "Make the standby in DIR a data directory that a server can run on. For when the server that ships to it is lost:\n" +
			"what that one does afterwards does not count. If DIR is a copy (standby follow --from), what is missing is taken\n" +
			"from where the server ships to.",
		Example: "  posthouse standby promote /srv/standby",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if err := a.confirm(yes, "The server that ships to "+args[0]+" must not run any more."); err != nil {
				return err
			}
			got, err := server.Promote(c.Context(), cfg, args[0], alone)
			if err != nil {
				return err
			}
			return a.print(promoted{1, got}, []string{args[0]}, func(t *table) {
				if got.Whole {
					t.line("%s is promoted. Everything that was acknowledged is there.", args[0])
					return
				}
				t.line("%s is promoted. The last changes may be missing: %d accounts have new UIDVALIDITYs.", args[0], got.Accounts)
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&alone, "alone", false, "only with what DIR has: the place that it is a copy of is lost, too")
	return c
}

// standbyStatus is the answer of standby status.
type standbyStatus struct {
	V int `json:"v"`
	server.Standby
}

func (a *app) standbyStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status DIR", Short: "What a standby has", Args: exactly(1, "the standby's data directory, or s3://BUCKET/PATH"),
		Long: "What the standby in DIR has, which may be s3://BUCKET/PATH, seen from its files. How far it is behind the server that ships to it, that one tells:\n" +
			"posthouse status, store.unshipped_ms. Exit code 6 if it could not be promoted.",
		Example: "  posthouse standby status /srv/standby",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			st, err := server.StandbyStatus(c.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			err = a.print(standbyStatus{1, st}, []string{fmt.Sprint(st.Position)}, func(t *table) { standbyTable(t, st) })
			if err == nil && !st.Complete {
				err = &exitError{code: exitProblems}
			}
			return err
		},
	}
}

func standbyTable(t *table, st server.Standby) {
	switch {
	case st.Promoted:
		t.row("State", "promoted")
	case !st.Complete:
		t.row("State", "the first copy is under way")
	case st.Synchronous:
		t.row("State", "complete; the server waits for it")
	default:
		t.row("State", "complete; the last changes may be missing")
	}
	if !st.Complete {
		return
	}
	t.row("Position", st.Position)
	if !st.At.IsZero() {
		t.row("Last change", fmt.Sprintf("%s, %s ago", st.At.UTC().Format(time.RFC3339), time.Since(st.At).Round(time.Second)))
	}
	t.row("Size", size(st.Bytes))
}
