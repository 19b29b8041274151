package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
)

func (a *app) configCommand() *cobra.Command {
	return noun("config", "The configuration file", a.configDefault(), a.configCheck(), a.configExplain(), a.configReload())
}

func (a *app) configDefault() *cobra.Command {
	return &cobra.Command{
		Use: "default", Short: "Print an annotated file with every key", Args: exactly(0, "no name"),
		Example: "  posthouse config default > /etc/posthouse/posthouse.toml",
		RunE:    func(*cobra.Command, []string) error { return config.WriteDefault(a.out) },
	}
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "Find what is wrong with a file", Args: cobra.MaximumNArgs(1),
		Example: "  posthouse config check /etc/posthouse/posthouse.toml",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.configFile = args[0]
			}
			if _, err := a.config(); err != nil {
				return err
			}
			a.say("The configuration is right.")
			return nil
		},
	}
}

func (a *app) configReload() *cobra.Command {
	var in admin.ConfigReload
	c := &cobra.Command{
		Use: "reload [--dry-run]", Short: "Make the running server read its file again", Args: exactly(0, "no name"),
		Long: "Make the running server read its configuration again, as SIGHUP does, and say which changes it applied\n" +
			"and which wait for its next start. A file with a mistake changes nothing. Sessions that are there go on as they began.",
		Example: "  posthouse config reload --dry-run",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Reloaded
			if err := a.call(c.Context(), "config.reload", in, &out); err != nil {
				return err
			}
			return a.print(out, append(out.Applied, out.AtStart...), func(t *table) {
				if len(out.Applied)+len(out.AtStart) == 0 {
					t.line("Nothing has changed.")
				}
				did := "applied"
				if in.Dry {
					did = "would be applied"
				}
				for _, k := range out.Applied {
					t.row(k, did)
				}
				for _, k := range out.AtStart {
					t.row(k, "waits for the next start")
				}
			})
		},
	}
	c.Flags().BoolVar(&in.Dry, "dry-run", false, "only say what it would change")
	return c
}

func (a *app) configExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain KEY", Short: "Say what a key means", Args: exactly(1, "a key"), ValidArgsFunction: completeKeys,
		Example: "  posthouse config explain limits.message",
		RunE: func(_ *cobra.Command, args []string) error {
			near, found, err := config.Explain(a.out, args[0])
			if err != nil || found {
				return err
			}
			hint := ""
			if near != "" {
				hint = fmt.Sprintf(". Did you mean %s?", near)
			}
			return &exitError{exitNotFound, fmt.Sprintf("there is no key %s%s", args[0], hint)}
		},
	}
}
