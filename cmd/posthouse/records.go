package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) domainRecords() *cobra.Command {
	return &cobra.Command{
		Use: "records DOMAIN", Short: "Show the DNS records that a domain needs, each with its reason", Args: exactly(1, "a domain"),
		Long: "Show the DNS records that a domain needs, each with its reason, in the form of a zone file.\n\n" +
			"The first time, the keys that sign the domain's mail (DKIM) are made: from then on its mail is signed.",
		ValidArgsFunction: a.complete(1, "domain.list"), Example: "  posthouse domain records example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Records
			if err := a.call(c.Context(), "domain.records", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			var lines []string
			for _, r := range out.Records {
				lines = append(lines, zoneLine(r))
			}
			return a.print(out, lines, func(t *table) {
				for i, r := range out.Records {
					t.line("; %s", r.Reason)
					t.line("%s", lines[i])
				}
			})
		},
	}
}

// zoneLine writes a record as a zone file has it: text in strings of at most 255
// octets (RFC 1035 §3.3), names with their last dot.
func zoneLine(r admin.Record) string {
	value := r.Value + "."
	if r.Type == "TXT" {
		var parts []string
		for rest := r.Value; rest != ""; {
			n := min(len(rest), 255)
			parts = append(parts, `"`+rest[:n]+`"`)
			rest = rest[n:]
		}
		value = strings.Join(parts, " ")
	}
	return fmt.Sprintf("%s. IN %s %s", r.Name, r.Type, value)
}
