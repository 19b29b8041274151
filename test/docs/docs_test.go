// Package docs keeps the documents that are made from the program's own tables:
// "go test ./test/docs -update" writes them anew.
package docs

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"posthouse/config"
)

var update = flag.Bool("update", false, "write the documents anew")

// same fails if the file is not what it should be, or writes it.
func same(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not up to date: run go test ./test/docs -update", file)
	}
}

func TestConfiguration(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Configuration

The file is TOML and is read strictly: an unknown key or a wrong value is an error that names the line, the key, what is
allowed and the nearest right key. ` + "`posthouse config default`" + ` prints it with all defaults. This page is made from the
program's own table.
`)
	section := "?"
	for _, k := range config.Keys() {
		if k.Section != section {
			section = k.Section
			title := "[" + section + "]"
			if section == "" {
				title = "At the top"
			}
			fmt.Fprintf(&b, "\n## %s\n\n| key | default | meaning |\n|---|---|---|\n", title)
		}
		doc := k.Doc
		if k.Why != "" {
			doc += " *" + k.Why + "*"
		}
		doc += " Allowed: " + k.Allowed + "."
		if k.Live {
			doc += " A reload applies it."
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", k.Name[strings.LastIndexByte(k.Name, '.')+1:], k.Default, strings.ReplaceAll(doc, "|", `\|`))
	}
	same(t, "../../docs/manual/configuration.md", b.String())
}
