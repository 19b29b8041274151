package jmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"posthouse/jmap/wire"
)

// TypeScript spells the types and methods of the data model for the web client, from
// the same tables that the server runs on.
func TypeScript() string {
	types, methods := tables()
	var b strings.Builder
	b.WriteString("// Made from the server's tables: go test ./test/docs -update writes it anew.\n\nexport type Id = string\nexport type UTCDate = string\n")
	for _, name := range slices.Sorted(maps.Keys(structs)) {
		s := structs[name]
		fmt.Fprintf(&b, "\nexport interface %s {\n", name)
		for _, f := range s.Members {
			fmt.Fprintf(&b, "  %s: %s\n", propertyTS(f.Name), wire.TypeScript(f.Type))
		}
		if s.Open {
			b.WriteString("  [header: `header:${string}`]: unknown\n")
		}
		b.WriteString("}\n")
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		t := types[name]
		fmt.Fprintf(&b, "\nexport interface %s {\n", name)
		for _, p := range t.properties {
			if p.mode&writeOnly != 0 {
				continue
			}
			mark := ""
			if p.mode&onRequest != 0 {
				mark = "?"
			}
			fmt.Fprintf(&b, "  %s%s: %s\n", p.name, mark, wire.TypeScript(p.typ))
		}
		if t.dynamic != nil {
			b.WriteString("  [header: `header:${string}`]: unknown\n")
		}
		b.WriteString("}\n")
	}
	b.WriteString("\nexport interface Arguments {\n")
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		m := methods[name]
		fmt.Fprintf(&b, "  '%s': {", name)
		if !m.noAccount {
			b.WriteString(" accountId: Id;")
		}
		for _, a := range m.args {
			spelt := wire.TypeScript(a.Type)
			if strings.HasSuffix(a.Name, "?") && !strings.HasSuffix(spelt, "| null") {
				spelt += " | null"
			}
			fmt.Fprintf(&b, " %s: %s;", a.Name, spelt)
		}
		b.WriteString(" }\n")
	}
	b.WriteString("}\n\n// States are told of these, RFC 8620 §7.1.\nexport type TypeName = '" + strings.Join(pushTypes, "' | '") + "'\n")
	return b.String()
}

// propertyTS quotes a name that is none in TypeScript; "?" at its end stays outside.
func propertyTS(name string) string {
	if !strings.Contains(name, ":") {
		return name
	}
	bare, optional := strings.CutSuffix(name, "?")
	if optional {
		return "'" + bare + "'?"
	}
	return "'" + bare + "'"
}
