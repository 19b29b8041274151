package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) domainCommand() *cobra.Command {
	return noun("domain", "Domains whose mail is received here",
		a.domainList(), a.domainAdd(), a.domainSet(), a.domainRecords(), a.domainCheck(), a.domainKeys(), a.domainRemove())
}

func (a *app) domainList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the domains", Args: exactly(0, "no name"), Example: "  posthouse domain list",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Domains
			if err := a.call(c.Context(), "domain.list", admin.None{}, &out); err != nil {
				return err
			}
			var names []string
			for _, d := range out.Domains {
				names = append(names, d.Name)
			}
			return a.print(out, names, func(t *table) {
				if len(out.Domains) == 0 {
					t.line("No domains yet. Add yours: posthouse domain add example.org")
					return
				}
				t.row("DOMAIN", "ACCOUNTS", "ALIASES", "CATCH-ALL", "SINCE")
				for _, d := range out.Domains {
					t.row(d.Name, d.Accounts, d.Aliases, orDash(d.CatchAll), d.Created)
				}
			})
		},
	}
}

func (a *app) domainAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add DOMAIN", Short: "Receive mail for a domain", Args: exactly(1, "a domain"), Example: "  posthouse domain add example.org",
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeDomain(c, "domain.add", admin.Named{Name: args[0]}, "Added")
		},
	}
}

// changeDomain runs an operation that answers with a domain.
func (a *app) changeDomain(c *cobra.Command, op string, in any, verb string) error {
	var out admin.Domain
	if err := a.call(c.Context(), op, in, &out); err != nil {
		return err
	}
	if a.json || a.quiet {
		return a.print(struct {
			V int `json:"v"`
			admin.Domain
		}{1, out}, []string{out.Name}, nil)
	}
	a.say("%s %s.", verb, out.Name)
	return nil
}

func (a *app) domainSet() *cobra.Command {
	var catchAll, total, each, sts string
	var counts quotaCounts
	var none bool
	c := &cobra.Command{
		Use: "set DOMAIN", Short: "Change a domain", Args: exactly(1, "a domain"), ValidArgsFunction: a.complete(1, "domain.list"),
		Example: "  posthouse domain set example.org --catch-all ada@example.org\n  posthouse domain set example.org --no-catch-all\n" +
			"  posthouse domain set example.org --quota \"50 GB\" --account-quota \"1 GB\" --quota-messages 100000",
		RunE: func(c *cobra.Command, args []string) error {
			in := admin.DomainSet{Name: args[0]}
			given := c.Flags().Changed
			switch {
			case none:
				in.CatchAll = new(string)
			case given("catch-all"):
				in.CatchAll = &catchAll
			}
			if given("mta-sts") {
				in.STS = &sts
			}
			if given("quota") {
				n, err := parseQuota(total)
				if err != nil {
					return err
				}
				in.Quota = &n
			}
			if given("account-quota") {
				in.NoDefault = each == "default"
				if !in.NoDefault {
					n, err := parseQuota(each)
					if err != nil {
						return err
					}
					in.Default = &admin.Quota{Bytes: n, Messages: counts.messages, Mailboxes: counts.mailboxes}
				}
			} else if given("quota-messages") || given("quota-mailboxes") {
				return usage("--quota-messages and --quota-mailboxes go with --account-quota")
			}
			if in == (admin.DomainSet{Name: args[0]}) {
				return usage("say what to change: see posthouse domain set --help")
			}
			return a.changeDomain(c, "domain.set", in, "Changed")
		},
	}
	c.Flags().StringVar(&total, "quota", "", "`size` of the mail of all its accounts together, as \"50 GB\"; 0: no limit")
	c.Flags().StringVar(&each, "account-quota", "", "`size` that new accounts get; 0: none, default: limits.quota again")
	counts.add(c)
	c.Flags().StringVar(&sts, "mta-sts", "", "`mode` of the policy that asks other servers for TLS with a good certificate: testing (they report faults), enforce (they deliver only so), none (before you take it back)")
	c.Flags().StringVar(&catchAll, "catch-all", "", "`address` that receives what has no account and no alias")
	c.Flags().BoolVar(&none, "no-catch-all", false, "refuse it again")
	c.MarkFlagsMutuallyExclusive("catch-all", "no-catch-all")
	return c
}

func (a *app) domainRemove() *cobra.Command {
	var yes, dry bool
	c := &cobra.Command{
		Use: "remove DOMAIN", Short: "Receive no more mail for a domain", Args: exactly(1, "a domain"), ValidArgsFunction: a.complete(1, "domain.list"),
		Example: "  posthouse domain remove example.org --yes",
		RunE: func(c *cobra.Command, args []string) error {
			what := fmt.Sprintf("Mail for %s will be refused.", args[0])
			if dry {
				a.say("%s Nothing was changed.", what)
				return nil
			}
			if err := a.confirm(yes, what); err != nil {
				return err
			}
			return a.changeDomain(c, "domain.remove", admin.Named{Name: args[0]}, "Removed")
		},
	}
	confirmFlags(c, &yes, &dry)
	return c
}
