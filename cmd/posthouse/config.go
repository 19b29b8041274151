package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"posthouse/config"
)

func (a *app) configCommand() *cobra.Command {
	return noun("config", "The configuration file", a.configDefault(), a.configCheck(), a.configExplain())
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
