package imap

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"posthouse/store"
)

// TestMetadataLimits: too large a value and too many entries are refused with the
// codes of RFC 5464 §4.3, and so is what the quota has no room for; nothing is set.
func TestMetadataLimits(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	nc, err := h.login("ada")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	say := func(format string, args ...any) string {
		t.Helper()
		if _, err := fmt.Fprintf(nc, format+"\r\n", args...); err != nil {
			t.Fatal(err)
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(line, "* ") {
				return line
			}
		}
	}
	want := func(got, prefix string) {
		t.Helper()
		if !strings.HasPrefix(got, prefix) {
			t.Errorf("%q, want %q", got, prefix)
		}
	}
	big := strings.Repeat("x", 64<<10)
	want(say(`a SETMETADATA INBOX (/private/a "1" /private/b {%d+}`+"\r\n%s)", len(big)+1, big+"x"), "a NO [METADATA MAXSIZE 65536]")
	want(say(`b SETMETADATA INBOX (/private/b {%d+}`+"\r\n%s)", len(big), big), "b OK")
	for i := range 99 {
		want(say(`c SETMETADATA INBOX (/private/n%d "x" /shared/n%d "x")`, i, i), "c OK")
	}
	want(say(`d SETMETADATA INBOX (/private/b "y" /private/one "x")`), "d NO [METADATA TOOMANY]")
	want(say(`e SETMETADATA INBOX (/private/b NIL /private/one "x" /shared/one "x")`), "e OK")
	a, err := h.store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Update(t.Context(), func(tx *store.Tx) error { return tx.SetQuota(store.Quota{Bytes: 2000}) }); err != nil {
		t.Fatal(err)
	}
	want(say(`f SETMETADATA INBOX (/private/one "y" /private/n1 {2000+}`+"\r\n%s)", big[:2000]), "f NO [OVERQUOTA]")
	want(say(`g GETMETADATA INBOX (MAXSIZE 0) (/private/one)`), "g OK [METADATA LONGENTRIES 1]")
	want(say(`h SETMETADATA INBOX (/private/one NIL)`), "h OK")
}
