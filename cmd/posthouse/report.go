package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) reportCommand() *cobra.Command {
	return noun("report", "What other servers report about mail in our name", a.reportList(), a.reportShow(), a.reportPending(), a.reportSend())
}

func (a *app) reportPending() *cobra.Command {
	return &cobra.Command{
		Use: "pending", Short: "List our reports to others that were not sent yet", Args: exactly(0, "no name"), Example: "  posthouse report pending",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.pendingReports(c, "report.pending", "No reports wait.")
		},
	}
}

func (a *app) reportSend() *cobra.Command {
	return &cobra.Command{
		Use: "send", Short: "Send our reports of days that are over now", Args: exactly(0, "no name"), Example: "  posthouse report send",
		Long: "Send our reports (DMARC, TLS) of days that are over now, instead of spread over the next hours, and list what is left.",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.pendingReports(c, "report.send", "Nothing is left to send.")
		},
	}
}

func (a *app) pendingReports(c *cobra.Command, op, none string) error {
	var out admin.PendingReports
	if err := a.call(c.Context(), op, struct{}{}, &out); err != nil {
		return err
	}
	var names []string
	for _, p := range out.Pending {
		names = append(names, p.Domain)
	}
	return a.print(out, names, func(t *table) {
		if len(out.Pending) == 0 {
			t.line("%s", none)
			return
		}
		t.row("KIND", "DOMAIN", "DAY", "SENT AFTER")
		for _, p := range out.Pending {
			t.row(p.Kind, p.Domain, p.Day.Format("2006-01-02"), p.Due)
		}
	})
}

func (a *app) reportList() *cobra.Command {
	var in admin.ReportList
	c := &cobra.Command{
		Use: "list", Short: "List reports that came in: DMARC, TLS and feedback", Args: exactly(0, "no name"),
		Example: "  posthouse report list\n  posthouse report list --kind tls --domain example.org",
		RunE: func(c *cobra.Command, _ []string) error {
			var out admin.Reports
			if err := a.call(c.Context(), "report.list", in, &out); err != nil {
				return err
			}
			var ids []string
			for _, r := range out.Reports {
				ids = append(ids, r.ID)
			}
			return a.print(out, ids, func(t *table) {
				if len(out.Reports) == 0 {
					t.line("No reports yet. They come to the addresses of smtp.report_addresses once the DNS records ask for them: posthouse domain records")
					return
				}
				t.row("ID", "RECEIVED", "KIND", "DOMAIN", "FROM", "GOOD", "BAD")
				for _, r := range out.Reports {
					t.row(r.ID, r.Received, string(r.Kind), r.Domain, orDash(shorten(r.Reporter, 40)), r.Good, r.Bad)
				}
				if out.More {
					t.line("… and older ones: raise --limit.")
				}
			})
		},
	}
	c.Flags().StringVar(&in.Kind, "kind", "", "only this `kind`: dmarc, tls or feedback")
	c.Flags().StringVar(&in.Domain, "domain", "", "only about this `domain`")
	c.Flags().IntVar(&in.Limit, "limit", 0, "at most so many, the newest (default 100)")
	return c
}

func (a *app) reportShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one report", Args: exactly(1, "the id of a report"), ValidArgsFunction: a.complete(1, "report.list"),
		Example: "  posthouse report show 0006447e1c2a9b00",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.ReportDetail
			if err := a.call(c.Context(), "report.show", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			return a.print(out, []string{out.ID}, func(t *table) {
				t.row("Id", out.ID)
				t.row("Kind", string(out.Kind))
				t.row("About", out.Domain)
				t.row("From", fmt.Sprintf("%s <%s>", out.Reporter, out.From))
				t.row("Signed by", orDash(strings.Join(out.Signed, " ")))
				t.row("Received", out.Received)
				t.row("Time", t.app.when(out.Begin)+" to "+t.app.when(out.End))
				t.row("Policy", orDash(out.Policy))
				t.row("Good", out.Good)
				t.row("Bad", out.Bad)
				t.line("")
				t.row("SOURCE", "COUNT", "GOOD", "RESULT", "")
				for _, r := range out.Rows {
					t.row(r.Source, r.Count, r.Good, r.Result, r.Detail)
				}
				if out.More > 0 {
					t.line("… and %d more that were not kept.", out.More)
				}
			})
		},
	}
}
