package main

import (
	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) senderCommand() *cobra.Command {
	return noun("sender", "Who may send in the name of another", a.senderAdd(), a.senderList(), a.senderRemove())
}

func (a *app) senderAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add ADDRESS WHO", Short: "Let somebody send as an account or an alias", Args: exactly(2, "the address to send as, and who may"), ValidArgsFunction: a.complete(2, "account.list"),
		Long:    "Let somebody send as an account or an alias, over submission and in the mail client. WHO is an account,\nor an alias: then all to whom it leads may. The trace says who really sent.",
		Example: "  posthouse sender add support@example.org ben@example.org\n  posthouse sender add team@example.org team@example.org   # each of the team as the team",
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "sender.add", admin.Sender{Name: args[0], Who: args[1]}, &admin.None{}); err != nil {
				return err
			}
			a.say("%s may send as %s.", args[1], args[0])
			return nil
		},
	}
}

func (a *app) senderList() *cobra.Command {
	return &cobra.Command{
		Use: "list ADDRESS", Short: "List who else may send as an account or an alias", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse sender list support@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Senders
			if err := a.call(c.Context(), "sender.list", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			return a.print(out, out.Senders, func(t *table) {
				if len(out.Senders) == 0 {
					t.line("Nobody else. Let somebody: posthouse sender add %s ben@example.org", args[0])
				}
				for _, s := range out.Senders {
					t.row(s)
				}
			})
		},
	}
}

func (a *app) senderRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ADDRESS WHO", Short: "Let somebody send as an account or an alias no more", Args: exactly(2, "the address to send as, and who may no more"), ValidArgsFunction: a.complete(2, "account.list"),
		Example: "  posthouse sender remove support@example.org ben@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.call(c.Context(), "sender.remove", admin.Sender{Name: args[0], Who: args[1]}, &admin.None{}); err != nil {
				return err
			}
			a.say("%s may not send as %s any more.", args[1], args[0])
			return nil
		},
	}
}
