package main

import (
	"time"

	"github.com/spf13/cobra"

	"posthouse/server"
)

// restored is the answer of restore.
type restored struct {
	V int `json:"v"`
	server.Restored
}

func (a *app) restoreCommand() *cobra.Command {
	at, from := "", server.Source{}
	c := &cobra.Command{
		Use: "restore BACKUP DIR", Short: "Make a data directory from a backup", Args: exactly(2, "a backup and a new data directory"),
		Long: "Make the data directory DIR, which must be empty or not there, from BACKUP: a backup directory\n" +
			"for the newest backup in it, or one of its backups. Every byte is verified.\n\n" +
			"Mail programs may have seen later states than the backup has: every mailbox gets a new UIDVALIDITY,\n" +
			"which makes them fetch anew. What waited in the queue may have been sent since: it is held.\n\n" +
			"With --log, what was done after the backup is there too: up to --at, or all of it. It is taken from the log of a standby\n" +
			"that keeps it (backup.keep in the configuration), or of the data directory of a server that is lost.",
		Example: "  posthouse restore /backup/posthouse /var/lib/posthouse\n  posthouse restore /backup/posthouse/20261123T105500Z /tmp/look\n" +
			"  posthouse restore /backup/posthouse /tmp/look --log /srv/standby --at 2026-11-23T10:55:00Z",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			cfg.Data, from.Backup = args[1], args[0]
			if at != "" {
				if from.At, err = parseMoment(at); err != nil {
					return err
				}
			}
			got, err := server.Restore(c.Context(), cfg, from)
			if err != nil {
				return err
			}
			return a.print(restored{1, got}, []string{got.Backup.Name}, func(t *table) {
				t.line("Backup %s is restored in %s: %d accounts.", got.Backup.Name, args[1], got.Accounts)
				if !got.At.IsZero() {
					t.line("With the log it goes up to %s.", got.At.UTC().Format(time.RFC3339Nano))
				}
				if got.Held > 0 {
					t.line("%d messages in the queue are held, for they may have been sent already. To send them: posthouse queue release --all", got.Held)
				}
			})
		},
	}
	c.Flags().StringVar(&at, "at", "", "the moment to go back to, as 2026-11-23T10:55:00Z or \"2026-11-23 10:55\" (local time)")
	c.Flags().StringVar(&from.Log, "log", "", "the data directory of a standby or of a lost server, for what came after the backup")
	return c
}

// parseMoment reads a point in time.
func parseMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("%q is no time, as 2026-11-23T10:55:00Z", s)
}
