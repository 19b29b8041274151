package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
)

func (a *app) accountCommand() *cobra.Command {
	c := noun("account", "People who have mail here",
		a.accountList(), a.accountShow(), a.accountAdd(), a.accountSet(), a.accountRemove(), a.accountUndelete(),
		a.accountKeys(), a.accountAddKey(), a.accountRemoveKey(),
		a.accountSwitch("enable", "Let an account log in and send again", false),
		a.accountSwitch("disable", "Let an account neither log in nor send; it still receives", true))
	c.Aliases = []string{"person"}
	return c
}

func (a *app) accountList() *cobra.Command {
	var in admin.AccountList
	c := &cobra.Command{
		Use: "list [--domain DOMAIN]", Short: "List the accounts", Args: exactly(0, "no name"),
		Example: "  posthouse account list\n  posthouse account list --domain example.org --json",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Accounts
			if err := a.call(c.Context(), "account.list", in, &out); err != nil {
				return err
			}
			var names []string
			for _, x := range out.Accounts {
				names = append(names, x.Address)
			}
			return a.print(out, names, func(t *table) {
				if len(out.Accounts) == 0 {
					t.line("No accounts yet. Make one: posthouse account add ada@example.org")
					return
				}
				t.row("ADDRESS", "NAME", "ADMIN", "DISABLED", "QUOTA", "SINCE")
				for _, x := range out.Accounts {
					t.row(x.Address, orDash(x.Name), x.Admin, x.Disabled, quota(x.Quota), x.Created)
				}
			})
		},
	}
	c.Flags().StringVar(&in.Domain, "domain", "", "only those of this `domain`")
	return c
}

func quota(n int64) string {
	if n == 0 {
		return "-"
	}
	return size(n)
}

func (a *app) accountShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ADDRESS", Short: "Show an account with its mailboxes", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse account show ada@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.AccountDetail
			if err := a.call(c.Context(), "account.show", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			return a.print(out, []string{out.Address}, func(t *table) {
				t.row("Address", out.Address)
				t.row("Name", orDash(out.Name))
				t.row("Admin", out.Admin)
				t.row("Disabled", out.Disabled)
				t.row("Quota", quota(out.Quota))
				if out.QuotaMessages > 0 {
					t.row("Messages at most", out.QuotaMessages)
				}
				if out.QuotaMailboxes > 0 {
					t.row("Mailboxes at most", out.QuotaMailboxes)
				}
				if out.SendMessages != 0 || out.SendNewRecipients != 0 {
					t.row("Sends a day", sendLimit(out.SendMessages)+" messages, to "+sendLimit(out.SendNewRecipients)+" new recipients")
				}
				t.row("Since", out.Created)
				t.row("Aliases", orDash(strings.Join(out.Aliases, ", ")))
				t.row("Mail", fmt.Sprintf("%d messages, %s", out.Messages, size(out.Bytes)))
				t.line("")
				t.row("MAILBOX", "ROLE", "MESSAGES", "UNREAD", "SIZE")
				for _, m := range out.Mailboxes {
					t.row(m.Path, orDash(strings.TrimPrefix(m.Role, `\`)), m.Messages, m.Unseen, size(m.Bytes))
				}
			})
		},
	}
}

func (a *app) accountAdd() *cobra.Command {
	var in admin.AccountAdd
	var pass passwordFlags
	var quota string
	var counts quotaCounts
	var noPassword bool
	c := &cobra.Command{
		Use: "add ADDRESS", Short: "Make an account with its mailboxes", Args: exactly(1, "an address"),
		Example: "  posthouse account add ada@example.org --name \"Ada Lovelace\"\n" +
			"  posthouse account add ada@example.org --admin --generate\n" +
			"  printf '%s\\n' \"$PASSWORD\" | posthouse account add ada@example.org --password-stdin",
		RunE: func(c *cobra.Command, args []string) (err error) {
			in.Address = args[0]
			if quota != "" {
				n, err := parseQuota(quota)
				if err != nil {
					return err
				}
				in.Quota = &n
			}
			in.Messages, in.Mailboxes = counts.given(c)
			if !noPassword && strings.Contains(in.Address, "@") { // without, it is refused: no need to ask
				if in.Password, err = pass.read(a, in.Address); err != nil {
					return err
				}
			}
			var out admin.Account
			if err := a.call(c.Context(), "account.add", in, &out); err != nil {
				return err
			}
			return a.printMade(out, "Made", pass.generate, in.Password)
		},
	}
	c.Flags().StringVar(&in.Name, "name", "", "full `name`")
	c.Flags().BoolVar(&in.Admin, "admin", false, "may administer the server")
	c.Flags().StringVar(&quota, "quota", "", "`size` of all mail, as \"2 GB\"; 0: none (default: the domain's, or limits.quota)")
	counts.add(c)
	c.Flags().BoolVar(&noPassword, "no-password", false, "cannot log in until it is given one")
	pass.add(c)
	return c
}

// quotaCounts are the flags of a quota that are no size.
type quotaCounts struct{ messages, mailboxes int64 }

func (q *quotaCounts) add(c *cobra.Command) {
	c.Flags().Int64Var(&q.messages, "quota-messages", 0, "most `messages`; 0: no limit")
	c.Flags().Int64Var(&q.mailboxes, "quota-mailboxes", 0, "most `mailboxes`; 0: as many as limits.mailboxes")
}

func (q *quotaCounts) given(c *cobra.Command) (messages, mailboxes *int64) {
	given := c.Flags().Changed
	return optional(given("quota-messages"), q.messages), optional(given("quota-mailboxes"), q.mailboxes)
}

func parseQuota(s string) (int64, error) {
	n, err := config.ParseSize(s)
	if err != nil {
		return 0, usage("--quota: %v", err)
	}
	return max(0, n.Int64()), nil
}

// printMade prints what was made or changed, with a password that was generated:
// this is the only moment in which it is known.
func (a *app) printMade(acct admin.Account, verb string, generated bool, password string) error {
	if a.json {
		type made struct {
			V int `json:"v"`
			admin.Account
			Password string `json:"password,omitempty"`
		}
		m := made{V: 1, Account: acct}
		if generated {
			m.Password = password
		}
		return a.print(m, nil, nil)
	}
	if a.quiet {
		fmt.Fprintln(a.out, acct.Address)
	}
	a.say("%s %s.", verb, acct.Address)
	if generated {
		fmt.Fprintln(a.out, "Password: "+password)
	}
	return nil
}

func (a *app) accountSet() *cobra.Command {
	var pass passwordFlags
	var password bool
	var name, address, quota string
	var counts quotaCounts
	var isAdmin, disabled bool
	var sends, sendsNew string
	c := &cobra.Command{
		Use: "set ADDRESS", Short: "Change an account", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse account set ada@example.org --password\n" +
			"  posthouse account set ada@example.org --quota \"5 GB\" --admin\n" +
			"  posthouse account set news@example.org --send-limit 20000 --send-new-limit off\n" +
			"  posthouse account set ben@example.org --disabled",
		RunE: func(c *cobra.Command, args []string) error {
			in := admin.AccountSet{Name: args[0]}
			given := c.Flags().Changed
			in.FullName, in.Address = optional(given("name"), name), optional(given("address"), address)
			in.Admin, in.Disabled = optional(given("admin"), isAdmin), optional(given("disabled"), disabled)
			if given("quota") {
				n, err := parseQuota(quota)
				if err != nil {
					return err
				}
				in.Quota = &n
			}
			in.Messages, in.Mailboxes = counts.given(c)
			var err error
			if in.SendMessages, err = parseSendLimit("--send-limit", given("send-limit"), sends); err != nil {
				return err
			}
			if in.SendNewRecipients, err = parseSendLimit("--send-new-limit", given("send-new-limit"), sendsNew); err != nil {
				return err
			}
			if password || pass.stdin || pass.generate {
				p, err := pass.read(a, args[0])
				if err != nil {
					return err
				}
				in.Password = &p
			}
			if in == (admin.AccountSet{Name: args[0]}) {
				return usage("say what to change: see posthouse account set --help")
			}
			var out admin.Account
			if err := a.call(c.Context(), "account.set", in, &out); err != nil {
				return err
			}
			return a.printMade(out, "Changed", pass.generate, deref(in.Password))
		},
	}
	c.Flags().StringVar(&name, "name", "", "full `name`")
	c.Flags().StringVar(&address, "address", "", "new `address`, also the new login")
	c.Flags().BoolVar(&isAdmin, "admin", false, "may administer the server (--admin=false: may not)")
	c.Flags().BoolVar(&disabled, "disabled", false, "may neither log in nor send, still receives (--disabled=false: may again)")
	c.Flags().StringVar(&quota, "quota", "", "`size` of all mail, as \"2 GB\"; 0: none")
	counts.add(c)
	c.Flags().StringVar(&sends, "send-limit", "", "most `messages` to others in a day, what is more is held; off: no limit, default: limits.account_messages_per_day")
	c.Flags().StringVar(&sendsNew, "send-new-limit", "", "most `recipients` in a day to whom it never wrote before; off: no limit, default: limits.account_new_recipients_per_day")
	c.Flags().BoolVar(&password, "password", false, "ask for a new password")
	pass.add(c)
	return c
}

// parseSendLimit reads the value of a flag: a number, "off" or "default".
func parseSendLimit(flag string, given bool, s string) (*int64, error) {
	if !given {
		return nil, nil
	}
	n := int64(0)
	switch s {
	case "default":
	case "off":
		n = -1
	default:
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil || n < 1 {
			return nil, usage("%s: %q is not a number over 0, off or default", flag, s)
		}
	}
	return &n, nil
}

func sendLimit(n int64) string {
	switch {
	case n == 0:
		return "the usual number of"
	case n < 0:
		return "any number of"
	}
	return strconv.FormatInt(n, 10)
}

func optional[T any](given bool, v T) *T {
	if !given {
		return nil
	}
	return &v
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a *app) accountRemove() *cobra.Command {
	var yes, dry bool
	c := &cobra.Command{
		Use: "remove ADDRESS", Short: "Remove an account and all its mail", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse account remove ben@example.org --dry-run\n  posthouse account remove ben@example.org --yes",
		RunE: func(c *cobra.Command, args []string) error {
			var have admin.AccountDetail
			if err := a.call(c.Context(), "account.show", admin.Named{Name: args[0]}, &have); err != nil {
				return err
			}
			what := fmt.Sprintf("%s and its mail (%d messages, %s) go for good.", have.Address, have.Messages, size(have.Bytes))
			if len(have.Aliases) > 0 {
				what += " It is taken out of " + strings.Join(have.Aliases, ", ") + "."
			}
			if dry {
				a.say("%s Nothing was changed.", what)
				return nil
			}
			if err := a.confirm(yes, what); err != nil {
				return err
			}
			var out admin.Account
			if err := a.call(c.Context(), "account.remove", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			return a.printMade(out, "Removed", false, "")
		},
	}
	confirmFlags(c, &yes, &dry)
	return c
}

// accountSwitch is enable and disable.
func (a *app) accountSwitch(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ADDRESS", Short: short, Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse account " + verb + " ben@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Account
			if err := a.call(c.Context(), "account.set", admin.AccountSet{Name: args[0], Disabled: &disabled}, &out); err != nil {
				return err
			}
			return a.printMade(out, "Changed", false, "")
		},
	}
}

func confirmFlags(c *cobra.Command, yes, dry *bool) {
	c.Flags().BoolVar(yes, "yes", false, "do not ask")
	c.Flags().BoolVar(dry, "dry-run", false, "say what would go, change nothing")
}
