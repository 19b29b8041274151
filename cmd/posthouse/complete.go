package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
)

// complete offers the names that a list operation returns, for the first n
// arguments (0: all). It never fails: without a server there is nothing to offer.
func (a *app) complete(n int, op string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.names(c, op), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) names(c *cobra.Command, op string) []string {
	var out struct {
		Accounts []admin.Account
		Domains  []admin.Domain
		Aliases  []admin.Alias
		Messages []admin.QueueMessage
	}
	if err := a.call(c.Context(), op, admin.None{}, &out); err != nil {
		return nil
	}
	var names []string
	for _, x := range out.Accounts {
		names = append(names, x.Address+"\t"+clean(x.Name))
	}
	for _, x := range out.Domains {
		names = append(names, x.Name)
	}
	for _, x := range out.Aliases {
		names = append(names, x.Address)
	}
	for _, x := range out.Messages {
		names = append(names, x.ID+"\tto "+clean(x.Destination))
	}
	return names
}

// completeKeys offers the keys of the configuration.
func completeKeys(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, k := range config.Keys() {
		names = append(names, k.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
