package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) aliasCommand() *cobra.Command {
	return noun("alias", "Addresses that lead to others", a.aliasList(), a.aliasAdd(), a.aliasSet(), a.aliasRemove())
}

func (a *app) aliasList() *cobra.Command {
	var in admin.AliasList
	c := &cobra.Command{
		Use: "list [--domain DOMAIN]", Short: "List the aliases", Args: exactly(0, "no name"), Example: "  posthouse alias list",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Aliases
			if err := a.call(c.Context(), "alias.list", in, &out); err != nil {
				return err
			}
			var names []string
			for _, x := range out.Aliases {
				names = append(names, x.Address)
			}
			return a.print(out, names, func(t *table) {
				if len(out.Aliases) == 0 {
					t.line("No aliases yet. Make one: posthouse alias add info@example.org ada@example.org")
					return
				}
				t.row("ALIAS", "LEADS TO", "SINCE")
				for _, x := range out.Aliases {
					what := strings.Join(x.Targets, ", ")
					if x.List {
						what += " (a mailing list)"
					}
					t.row(x.Address, what, x.Created)
				}
			})
		},
	}
	c.Flags().StringVar(&in.Domain, "domain", "", "only those of this `domain`")
	return c
}

func (a *app) aliasAdd() *cobra.Command {
	var in admin.AliasAdd
	c := &cobra.Command{
		Use: "add ALIAS TARGET...", Short: "Make an alias, or add targets to one", Args: atLeast(2, "an alias and where it leads"),
		Example: "  posthouse alias add info@example.org ada@example.org ben@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			in.Address, in.Targets = args[0], args[1:]
			return a.changeAlias(c, "alias.add", in, "%s leads to %s.")
		},
	}
	c.Flags().BoolVar(&in.Replace, "replace", false, "drop the targets that it has")
	return c
}

func (a *app) aliasSet() *cobra.Command {
	var in admin.AliasSet
	var plain bool
	c := &cobra.Command{
		Use: "set ALIAS --list|--plain", Short: "Make an alias a mailing list, or no longer one", Args: exactly(1, "an alias"), ValidArgsFunction: a.complete(1, "alias.list"),
		Long: `Make an alias a mailing list, or no longer one.

What a mailing list sends to its members comes from an address of the list that
names the member, so bounces do not go to the author: they are read here, and who
is not there any more is left out after the second (posthouse queue suppressed).
Members see List-Id, List-Post, Precedence and, if it is given, List-Unsubscribe;
bounces and automatic answers are not passed on to them.`,
		Example: "  posthouse alias set news@example.org --list --unsubscribe mailto:news-owner@example.org?subject=leave\n  posthouse alias set news@example.org --plain",
		RunE: func(c *cobra.Command, args []string) error {
			if in.List == plain {
				return usage("say --list or --plain")
			}
			in.Address = args[0]
			text := "%s leads to %s, as a mailing list."
			if plain {
				text = "%s leads to %s."
			}
			return a.changeAlias(c, "alias.set", in, text)
		},
	}
	f := c.Flags()
	f.BoolVar(&in.List, "list", false, "a mailing list")
	f.BoolVar(&plain, "plain", false, "no mailing list")
	f.StringVar(&in.Unsubscribe, "unsubscribe", "", "where members leave the list: an https or mailto `address`")
	f.BoolVar(&in.OneClick, "one-click", false, "a POST to that address is enough (RFC 8058)")
	return c
}

// changeAlias runs an operation that answers with an alias.
func (a *app) changeAlias(c *cobra.Command, op string, in any, text string) error {
	var out admin.Alias
	if err := a.call(c.Context(), op, in, &out); err != nil {
		return err
	}
	if a.json || a.quiet {
		return a.print(struct {
			V int `json:"v"`
			admin.Alias
		}{1, out}, []string{out.Address}, nil)
	}
	a.say(text, clean(out.Address), clean(strings.Join(out.Targets, ", ")))
	return nil
}

func (a *app) aliasRemove() *cobra.Command {
	var yes, dry bool
	c := &cobra.Command{
		Use: "remove ALIAS [TARGET...]", Short: "Remove an alias, or targets of one", Args: atLeast(1, "an alias"), ValidArgsFunction: a.complete(1, "alias.list"),
		Example: "  posthouse alias remove info@example.org --yes\n  posthouse alias remove info@example.org ben@example.org --yes",
		RunE: func(c *cobra.Command, args []string) error {
			what := fmt.Sprintf("Mail for %s will be refused.", args[0])
			if len(args) > 1 {
				what = fmt.Sprintf("%s will not lead to %s any more.", args[0], strings.Join(args[1:], ", "))
			}
			if dry {
				a.say("%s Nothing was changed.", what)
				return nil
			}
			if err := a.confirm(yes, what); err != nil {
				return err
			}
			text := "Removed %s (it led to %s)."
			if len(args) > 1 {
				text = "%s now leads to %s."
			}
			return a.changeAlias(c, "alias.remove", admin.AliasRemove{Address: args[0], Targets: args[1:]}, text)
		},
	}
	confirmFlags(c, &yes, &dry)
	return c
}
