package main

import (
	"github.com/spf13/cobra"

	"posthouse/server"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve [--config FILE]", Short: "Run the server", Args: exactly(0, "no name"),
		Long: "Run the server until SIGTERM or SIGINT, which lets transactions under way finish.\n" +
			"SIGHUP reads the configuration again and applies what can change while it runs; see posthouse config reload.",
		Example: "  posthouse serve --config /etc/posthouse/posthouse.toml",
		RunE: func(c *cobra.Command, _ []string) error {
			return server.Run(c.Context(), server.RunOptions{Load: a.config, Log: a.errOut})
		},
	}
}
