package main

import (
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/publish"
)

func (a *app) domainRecords() *cobra.Command {
	var zone bool
	c := &cobra.Command{
		Use: "records DOMAIN", Short: "Show the DNS records that a domain needs, each with its reason", Args: exactly(1, "a domain"),
		Long: "Show the DNS records that a domain needs, each with its reason and its effect, in the form of a zone file.\n\n" +
			"What others wrote into its SPF record stays, and so does its DMARC policy. posthouse domain check says what is there already.\n\n" +
			"The first time, the keys that sign the domain's mail (DKIM) are made: from then on its mail is signed.",
		ValidArgsFunction: a.complete(1, "domain.list"), Example: "  posthouse domain records example.org\n  posthouse domain records example.org --zone",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Records
			if err := a.call(c.Context(), "domain.records", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			var lines []string
			for _, r := range out.Records {
				if r.Value != "" && !r.Remove && r.Type != "PTR" {
					lines = append(lines, zoneLine(r))
				}
			}
			if zone && !a.json {
				a.quiet = true
			}
			return a.print(out, lines, func(t *table) {
				for _, r := range out.Records {
					printRecord(t, r)
				}
			})
		},
	}
	c.Flags().BoolVar(&zone, "zone", false, "print the lines of a zone file only")
	return c
}

func printRecord(t *table, r admin.Record) {
	more := ""
	if r.Optional {
		more = " (May be left out.)"
	}
	for _, text := range []string{r.Reason + more, r.Effect} {
		for _, l := range wrapped(text, 100) {
			t.line("; %s", l)
		}
	}
	for _, old := range r.Replaces {
		t.line("; in place of: %s", old)
	}
	switch {
	case r.Remove:
		t.line("; delete: %s. %s", r.Name, r.Type)
	case r.Value == "" && r.Name == "":
		t.line("; %s: your address -> name", r.Type)
	case r.Value == "":
		t.line("; %s. IN %s ...", r.Name, r.Type)
	case r.Type == "PTR": // in the zone of somebody else
		t.line("; %s", zoneLine(r))
	default:
		t.line("%s", zoneLine(r))
	}
	t.line("")
}

// wrapped breaks a text at spaces into lines of at most width octets, longer words aside.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && len(line)+1+len(w) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func zoneLine(r admin.Record) string {
	return publish.ZoneLine(publish.Record{Name: r.Name, Type: r.Type, Value: r.Value})
}
