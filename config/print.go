package config

import (
	"fmt"
	"io"
	"strings"
)

// WriteDefault writes an annotated file that holds every key with its default.
// Keys are commented out: what is not changed follows the defaults of later
// versions.
func WriteDefault(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Posthouse configuration. Every key is here with its default; take the # away to change one.\n")
	b.WriteString("# People, domains and aliases are not here: see `posthouse account`, `domain` and `alias`.\n")
	section := ""
	for _, k := range Keys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n[%s]\n", section)
		}
		b.WriteByte('\n')
		comment(&b, k.Doc)
		comment(&b, k.Why)
		comment(&b, "Allowed: "+k.Allowed+".")
		fmt.Fprintf(&b, "#%s = %s\n", strings.TrimPrefix(k.Name, section+"."), k.Default)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// comment writes text as comment lines of at most 100 columns.
func comment(b *strings.Builder, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 100 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	if line != "#" {
		b.WriteString(line + "\n")
	}
}

// Explain writes what a key means, for people. Without such a key it returns the
// nearest one, or "".
func Explain(w io.Writer, name string) (nearestKey string, found bool, err error) {
	var names []string
	for _, k := range Keys() {
		if k.Name != name {
			names = append(names, k.Name)
			continue
		}
		live := "at the next start"
		if k.Live {
			live = "at the next start or reload"
		}
		_, err := fmt.Fprintf(w, "%s (%s)\n  %s\n", k.Name, k.Type, strings.TrimSpace(k.Doc+" "+k.Why))
		if err == nil {
			_, err = fmt.Fprintf(w, "  default: %s\n  allowed: %s\n  applied: %s\n", k.Default, k.Allowed, live)
		}
		return "", true, err
	}
	for _, n := range names { // "message" for "limits.message"
		if strings.HasSuffix(n, "."+name) {
			return n, false, nil
		}
	}
	return nearest(name, names), false, nil
}
