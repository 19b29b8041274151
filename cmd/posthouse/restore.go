package main

import (
	"github.com/spf13/cobra"

	"posthouse/server"
)

// restored is the answer of restore.
type restored struct {
	V int `json:"v"`
	server.Restored
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore BACKUP DIR", Short: "Make a data directory from a backup", Args: exactly(2, "a backup and a new data directory"),
		Long: "Make the data directory DIR, which must be empty or not there, from BACKUP: a backup directory\n" +
			"for the newest backup in it, or one of its backups. Every byte is verified.\n\n" +
			"Mail programs may have seen later states than the backup has: every mailbox gets a new UIDVALIDITY,\n" +
			"which makes them fetch anew. What waited in the queue may have been sent since: it is held.",
		Example: "  posthouse restore /backup/posthouse /var/lib/posthouse\n  posthouse restore /backup/posthouse/20261123T105500Z /tmp/look",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			cfg.Data = args[1]
			got, err := server.Restore(c.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			return a.print(restored{1, got}, []string{got.Backup.Name}, func(t *table) {
				t.line("Backup %s is restored in %s: %d accounts.", got.Backup.Name, args[1], got.Accounts)
				if got.Held > 0 {
					t.line("%d messages in the queue are held, for they may have been sent already. To send them: posthouse queue release --all", got.Held)
				}
			})
		},
	}
}
