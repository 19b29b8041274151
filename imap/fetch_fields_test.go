package imap

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"posthouse/store"
)

// A FETCH of header fields that records have says the same as one of which the messages
// must be read, for each kind of message: all fields kept, some too long to be kept, none
// kept, lines put before at delivery, large.
func TestFetchFieldsKept(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, Limits: Limits{FetchWhole: 20 << 10}})
	acct, err := h.store.Account(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	long := "To: " + strings.Repeat("somebody@demo.test,\r\n ", 200) + "ada@demo.test\r\n"
	kinds := []string{
		sample(0), sample(1),
		"from : a@demo.test\r\nSUBJECT:no space\r\nSubject: twice\r\nDate: x\r\n\r\nhello\r\n",
		long + "Subject: long\r\n\r\nhello\r\n",
		" continued\r\nSubject: from the middle\r\n\r\n",
		"Subject: large\r\n\r\n" + strings.Repeat("A line.\r\n", 4000),
		long + "Subject: large and long\r\n\r\n" + strings.Repeat("A line.\r\n", 4000),
		"", "no header at all", "Subject: no line end",
	}
	err = acct.Update(t.Context(), func(tx *store.Tx) error {
		box, err := tx.Mailbox("INBOX")
		for i := range 700 {
			kind := kinds[0]
			if i%100 < 30 { // and pages of which all are kept
				kind = kinds[i%len(kinds)]
			}
			m, serr := h.store.Stage(t.Context())
			if serr != nil {
				return serr
			}
			defer m.Close()
			if _, serr := io.WriteString(m, kind); serr != nil || m.Finish() != nil {
				return fmt.Errorf("stage: %v", serr)
			}
			var o store.AppendOptions
			if i%3 == 0 {
				o.Prefix = []byte("Return-Path: <>\r\nReceived: by x;\r\n now\r\n")
			}
			if err == nil {
				_, err = tx.Append(box.ID, m, o)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := h.client("ada")
	c.send("s SELECT INBOX\r\n")
	c.until("s ")
	ask := func(section string) []string {
		c.send("f UID FETCH 1:* (FLAGS " + section + ")\r\n")
		return c.until("f OK")
	}
	for _, names := range []string{"SUBJECT", "FROM TO DATE", "Subject Return-Path Cc", "Message-Id"} {
		for _, part := range []string{"", "<2.9>"} {
			want := ask("BODY.PEEK[HEADER.FIELDS (" + names + " X-NONE)]" + part)
			got := ask("BODY.PEEK[HEADER.FIELDS (" + names + ")]" + part)
			for i := range want {
				want[i] = strings.Replace(want[i], names+" X-NONE", names, 1)
			}
			if !slices.Equal(got, want) {
				for i := range want {
					if i >= len(got) || got[i] != want[i] {
						t.Fatalf("%s: line %d of %d: %q, want %q", names, i, len(got), got[min(i, len(got)-1)], want[i])
					}
				}
			}
			if n := strings.Count(strings.Join(got, "\n"), " FETCH ("); n < 700 {
				t.Errorf("%d answers", n)
			}
		}
	}
}
