package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// A table is what a part measured. The first two columns are words.
type table struct {
	head  []string
	rows  [][]string
	notes []string // what to know of it, a paragraph each
	facts []string // versions and further figures, a line each
}

const ours = "Posthouse"

// median of what f takes from each round.
func median[M any, T cmp.Ordered](ms []M, f func(M) T) T {
	var v []T
	for _, m := range ms {
		v = append(v, f(m))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func (t table) print(w io.Writer) {
	rows := append([][]string{t.head}, t.rows...)
	width := make([]int, len(t.head))
	for _, row := range rows {
		for i, s := range row {
			width[i] = max(width[i], len([]rune(s)))
		}
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		for i, s := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(s)))
			if i < 2 {
				fmt.Fprint(w, s, pad, "  ")
			} else {
				fmt.Fprint(w, pad, s, "  ")
			}
		}
		fmt.Fprintln(w)
	}
	for _, x := range t.facts {
		fmt.Fprintln(w, x)
	}
	fmt.Fprintln(w)
}

const documentHead = `# Benchmarks

Posthouse beside Debian's Dovecot (mdbox), Cyrus and Postfix, on one machine, in alternating runs within one invocation
for each part. CPU is that of all processes of a server. "× peer": our rate over the peer's; "÷ peer": the peer's CPU time
over ours. Rates of durable writes depend on the disk and its other users: compare them within one part only.
The parts are written by the commands that they name.
`

// markdown spells the part.
func (t table) markdown(p part, about []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", p.title)
	for _, line := range append(slices.Clone(about), t.facts...) {
		fmt.Fprintf(&b, "* %s\n", line)
	}
	for _, note := range t.notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	fmt.Fprintf(&b, "\n| %s |\n|---|---|%s\n", strings.Join(t.head, " | "), strings.Repeat("--:|", len(t.head)-2))
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// write puts the part into a document, in place of what it says of it now.
func (t table) write(file string, p part, about []string) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sections, others := map[string]string{}, ""
	for _, section := range strings.Split("\n"+string(old), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		section = "## " + strings.TrimRight(section, "\n") + "\n"
		if slices.ContainsFunc(parts, func(q part) bool { return q.title == title }) {
			sections[title] = section
		} else {
			others += "\n" + section // somebody else's measurements
		}
	}
	sections[p.title] = t.markdown(p, about)
	text := documentHead
	for _, q := range parts {
		if s := sections[q.title]; s != "" {
			text += "\n" + s
		}
	}
	return os.WriteFile(file, []byte(text+others), 0o644)
}
