package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) maskCommand() *cobra.Command {
	return noun("mask", "Masked addresses: one for each shop, ended when it is misused", a.maskAdd(), a.maskList(), a.maskRemove())
}

func (a *app) maskAdd() *cobra.Command {
	var in admin.MaskAdd
	c := &cobra.Command{
		Use: "add ACCOUNT [--note TEXT]", Short: "Make an address that nobody guesses and that leads to the account", Args: exactly(1, "the address of an account"), ValidArgsFunction: a.complete(1, "account.list"),
		Long:    "Make an address that nobody guesses and that leads to the account, which may also send as it.",
		Example: "  posthouse mask add ada@example.org --note \"the shoe shop\"",
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			var out admin.Mask
			if err := a.call(c.Context(), "mask.add", in, &out); err != nil {
				return err
			}
			return a.print(out, []string{out.Address}, func(t *table) { t.line("Made %s.", out.Address) })
		},
	}
	c.Flags().StringVar(&in.Note, "note", "", "what it is for")
	return c
}

func (a *app) maskList() *cobra.Command {
	return &cobra.Command{
		Use: "list ACCOUNT", Short: "List the masked addresses of an account", Args: exactly(1, "the address of an account"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse mask list ada@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Masks
			if err := a.call(c.Context(), "mask.list", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			var names []string
			for _, m := range out.Masks {
				names = append(names, m.Address)
			}
			return a.print(out, names, func(t *table) {
				if len(out.Masks) == 0 {
					t.line("None yet. Make one: posthouse mask add %s", args[0])
					return
				}
				t.row("ADDRESS", "SINCE", "NOTE")
				for _, m := range out.Masks {
					t.row(m.Address, m.Created, orDash(m.Note))
				}
			})
		},
	}
}

func (a *app) maskRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ACCOUNT ADDRESS", Short: "End a masked address: mail to it is refused", Args: exactly(2, "the address of an account and a masked address"),
		Example: "  posthouse mask remove ada@example.org kq3vn7twm2xc@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			in := admin.MaskRemove{Name: args[0], Address: args[1]}
			if err := a.call(c.Context(), "mask.remove", in, &admin.None{}); err != nil {
				return err
			}
			a.say("Ended %s.", args[1])
			return nil
		},
	}
}
