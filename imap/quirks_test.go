package imap

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuirks: each quirk has its dialogue, each dialogue its quirk, and the manual
// lists them. "go test ./imap -run TestQuirks -args -update" writes the page.
func TestQuirks(t *testing.T) {
	shown := map[string]bool{"quirk_withhold_from": true}
	var b strings.Builder
	b.WriteString(`# IMAP clients and their ways

What programs in use need beside the standards, and what is done about it. Each row has a dialogue in ` + "`imap/testdata`" + `, which
the tests play. Of all but the first, everybody may do what they do; by its name something is only ever withheld from a
client (` + "`imap.withhold_from`" + ` in the [configuration](configuration.md) does the same for others).

| client | what it does | what is done | dialogue |
|---|---|---|---|
`)
	for _, q := range quirks {
		shown[q.shown] = true
		if _, err := os.Stat(filepath.Join("testdata", q.shown+".txt")); err != nil {
			t.Errorf("%s: %v", q.client, err)
		}
		if (q.id == "") != (len(q.withhold) == 0) {
			t.Errorf("%s: a name is for what is withheld", q.client)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", q.client, q.does, q.answer, q.shown)
	}
	files, err := filepath.Glob("testdata/quirk_*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".txt"); !shown[name] {
			t.Errorf("%s belongs to no quirk", name)
		}
	}
	const page = "../docs/manual/imap-clients.md"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(page); err != nil || string(text) != b.String() {
		t.Errorf("%s is not up to date (%v)", page, err)
	}
}

// TestRules: the operator's rules go before the built-in ones, and the longest first.
func TestRules(t *testing.T) {
	h := newHouse(t, Options{WithholdFrom: map[string]string{
		"Microsoft Office 365": "", "iPhone Mail": "NOTIFY", "iPhone Mail/15": "QRESYNC NOTIFY", "Odd": "idle"}})
	for _, c := range []struct{ name, version, without string }{
		{"Microsoft Office 365", "1", ""}, {"iphone mail", "22G100", "NOTIFY"}, {"iPhone Mail", "15E148", "QRESYNC NOTIFY"},
		{"Oddly", "", "IDLE"}, {"Thunderbird", "128", ""}, {"", "", ""},
	} {
		got := h.srv.tablesFor(c.name, c.version)
		for _, x := range h.srv.tables.extensions {
			there := false
			for _, y := range got.extensions {
				there = there || y == x
			}
			withheld := strings.Contains(" "+c.without+" ", " "+x.name+" ") && x.name != ""
			if there == withheld {
				t.Errorf("%s %s: %s offered: %v", c.name, c.version, x.name, there)
			}
		}
	}
	if h.srv.tablesFor("Microsoft Office 365", "1") != h.srv.tables {
		t.Error("an empty list withholds something")
	}
}
