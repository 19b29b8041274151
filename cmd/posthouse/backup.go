package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/server"
)

func (a *app) backupCommand() *cobra.Command {
	return noun("backup", "Copies of everything, in a directory", a.backupCreateCommand(), a.backupListCommand(), a.backupVerifyCommand(), a.backupPruneCommand())
}

func (a *app) backupCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "create DIR", Short: "Back everything up, while the server runs", Args: exactly(1, "a directory"),
		Long: "Back everything up: all that was acknowledged when the command began. Runs beside a running server.\n" +
			"DIR holds any number of backups; what earlier ones have is not copied again. It may be s3://BUCKET/PATH, see [s3] of the configuration.",
		Example: "  posthouse backup create /backup/posthouse",
		RunE: func(c *cobra.Command, args []string) error {
			dir := args[0]
			if !strings.HasPrefix(dir, admin.S3Scheme) {
				var err error
				if dir, err = filepath.Abs(dir); err != nil {
					return err
				}
			}
			var out admin.Backup
			if err := a.call(c.Context(), "backup.create", admin.BackupCreate{Dir: dir}, &out); err != nil {
				return err
			}
			return a.print(out, []string{out.Name}, func(t *table) {
				t.line("Backup %s: %d files, %s, of which %d files, %s are new.", out.Name, out.Files, size(out.Bytes), out.NewFiles, size(out.NewBytes))
			})
		},
	}
}

// backupList is the answer of backup list.
type backupList struct {
	V       int            `json:"v"`
	Backups []admin.Backup `json:"backups"`
	Damaged []string       `json:"damaged"`
}

func (a *app) backupListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the backups in a directory", Args: exactly(1, "a directory"),
		Example: "  posthouse backup list /backup/posthouse",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			list, damaged, err := server.Backups(c.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			names := make([]string, len(list))
			for i, b := range list {
				names[i] = b.Name
			}
			err = a.print(backupList{1, list, append([]string{}, damaged...)}, names, func(t *table) {
				t.row("NAME", "BEGUN", "POSITION", "FILES", "SIZE")
				for _, b := range list {
					t.row(b.Name, b.At, b.Position, b.Files, size(b.Bytes))
				}
				for _, n := range damaged {
					t.row(n, "damaged", "-", "-", "-")
				}
			})
			if err == nil && len(damaged) > 0 {
				err = &exitError{code: exitProblems}
			}
			return err
		},
	}
}

// backupFaults is the answer of backup verify.
type backupFaults struct {
	V        int      `json:"v"`
	Problems []string `json:"problems"`
}

func (a *app) backupVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify DIR[/NAME]", Short: "Read backups and compare them with their checksums", Args: exactly(1, "a directory or a backup in it"),
		Long:    "Read every byte of the backups in DIR, or of one of them, and compare it with its checksum.\nExit code 6 if something is damaged.",
		Example: "  posthouse backup verify /backup/posthouse\n  posthouse backup verify /backup/posthouse/20261123T105500Z",
		RunE: func(c *cobra.Command, args []string) error {
			out := backupFaults{1, []string{}}
			cfg, err := a.config()
			if err != nil {
				return err
			}
			err = server.VerifyBackups(c.Context(), cfg, args[0], func(p string) { out.Problems = append(out.Problems, p) })
			if err != nil {
				return err
			}
			err = a.print(out, out.Problems, func(t *table) {
				for _, p := range out.Problems {
					t.line("%s", p)
				}
				if len(out.Problems) == 0 {
					t.line("All is well.")
				}
			})
			if err == nil && len(out.Problems) > 0 {
				err = &exitError{code: exitProblems}
			}
			return err
		},
	}
}

// backupPruned is the answer of backup prune.
type backupPruned struct {
	V     int      `json:"v"`
	Gone  []string `json:"gone"`
	Freed int64    `json:"freed"`
}

func (a *app) backupPruneCommand() *cobra.Command {
	keep, yes := 7, false
	c := &cobra.Command{
		Use: "prune DIR", Short: "Remove the oldest backups", Args: exactly(1, "a directory"),
		Example: "  posthouse backup prune /backup/posthouse --keep 14",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			list, damaged, err := server.Backups(c.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			if n := len(list) + len(damaged) - keep; n > 0 && keep > 0 {
				if err := a.confirm(yes, "The oldest backups in "+args[0]+" will go."); err != nil {
					return err
				}
			}
			out := backupPruned{V: 1}
			gone, freed, err := server.PruneBackups(c.Context(), cfg, args[0], keep)
			if err != nil {
				return err
			}
			out.Gone, out.Freed = append([]string{}, gone...), freed
			return a.print(out, gone, func(t *table) { t.line("%d backups removed, %s freed.", len(gone), size(freed)) })
		},
	}
	c.Flags().IntVar(&keep, "keep", keep, "how many of the newest stay")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
