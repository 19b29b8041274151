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
	b.WriteString(liveKeys())
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

// liveKeys says which keys a reload applies.
func liveKeys() string {
	var b strings.Builder
	b.WriteString(`
## What a reload applies

` + "`posthouse config reload`, or SIGHUP, applies these keys to a running server; `posthouse config reload --dry-run` says what it would do. The others wait for the next start, and the log names them." + `
Sessions, messages and attempts to deliver that are under way end as they began. A file with a mistake changes nothing, and the log says what is wrong.

| section | keys |
|---|---|
`)
	bySection := map[string][]string{}
	var order []string
	for _, k := range config.Keys() {
		if k.Live {
			if bySection[k.Section] == nil {
				order = append(order, k.Section)
			}
			bySection[k.Section] = append(bySection[k.Section], "`"+k.Name[strings.LastIndexByte(k.Name, '.')+1:]+"`")
		}
	}
	for _, s := range order {
		fmt.Fprintf(&b, "| `[%s]` | %s |\n", s, strings.Join(bySection[s], " "))
	}
	return b.String()
}
