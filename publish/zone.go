package publish

import (
	"fmt"
	"strings"
)

// ZoneLine writes a record as a zone file has it: text in strings of at most 255 octets
// (RFC 1035 §3.3), names with their last dot.
func ZoneLine(r Record) string {
	value := r.Value
	switch r.Type {
	case "TXT":
		var parts []string
		for rest := r.Value; rest != ""; {
			n := min(len(rest), 255)
			parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest[:n])+`"`)
			rest = rest[n:]
		}
		value = strings.Join(parts, " ")
	case "MX", "PTR", "CNAME", "SRV":
		if !strings.HasSuffix(value, ".") {
			value += "."
		}
	}
	return fmt.Sprintf("%s. IN %s %s", r.Name, r.Type, value)
}
