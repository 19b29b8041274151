package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// print writes v as JSON if that is asked for, the names if quiet, and the table
// otherwise.
func (a *app) print(v any, names []string, fill func(t *table)) error {
	switch {
	case a.json:
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case a.quiet:
		for _, n := range names {
			fmt.Fprintln(a.out, clean(n))
		}
		return nil
	}
	t := &table{w: tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0), app: a}
	fill(t)
	return t.w.Flush()
}

// say prints one line for people: nothing with --json or -q.
func (a *app) say(format string, args ...any) {
	if !a.json && !a.quiet {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// A table is aligned columns.
type table struct {
	w   *tabwriter.Writer
	app *app
}

func (t *table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t.w, "\t")
		}
		switch c := c.(type) {
		case time.Time:
			fmt.Fprint(t.w, t.app.when(c))
		case bool:
			fmt.Fprint(t.w, yesNo(c))
		default:
			fmt.Fprint(t.w, clean(fmt.Sprint(c)))
		}
	}
	fmt.Fprintln(t.w)
}

func (t *table) line(format string, args ...any) {
	fmt.Fprintln(t.w, clean(fmt.Sprintf(format, args...)))
}

// when is local time on a terminal and RFC 3339 UTC elsewhere.
func (a *app) when(at time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case a.tty:
		return at.Local().Format("2006-01-02 15:04")
	}
	return at.UTC().Format(time.RFC3339)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// clean takes control characters out of what others may have written: a name in
// a message must not move the cursor of an administrator.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '�'
		}
		return r
	}, s)
}

// size spells bytes for people.
func size(n int64) string {
	switch f := float64(n); {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f kB", f/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MB", f/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}

// confirm asks before something goes for good. Without a person at the terminal
// --yes is needed.
func (a *app) confirm(yes bool, what string) error {
	if yes {
		return nil
	}
	if !a.tty {
		return &exitError{exitRefused, what + " Say --yes to do it."}
	}
	fmt.Fprint(a.errOut, what+" Go on? [y/N] ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil {
		return &exitError{exitRefused, "nothing was changed"}
	}
	if s := strings.ToLower(strings.TrimSpace(line)); s != "y" && s != "yes" {
		return &exitError{exitRefused, "nothing was changed"}
	}
	return nil
}
