package jmap

import (
	"net/http"
	"strings"
	"testing"
)

// A mailbox as one file: each message as it is, lines that look like a separator quoted.
func TestExport(t *testing.T) {
	r := newRig(t, Options{})
	r.deliver("INBOX", "From: ben@demo.test\nSubject: one\n\nFrom here\n>From there\n>>From both\n"+strings.Repeat("x", 40_000)+"From in it\nend")
	r.deliver("INBOX", "From: ben@demo.test\nSubject: two\n\nTwo.\n")
	boxes := r.call("Mailbox/get", `{"accountId":"A7","ids":null}`)
	inbox := ""
	for _, b := range at(t, boxes, "/list").([]any) {
		if m := b.(map[string]any); m["role"] == "inbox" {
			inbox = m["id"].(string)
		}
	}
	w := r.do("GET", "/jmap/export/A7/"+inbox+"?name=Inbox", "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Disposition") != `attachment; filename="Inbox.mbox"` || w.Header().Get("Content-Type") != "application/mbox" {
		t.Fatal(w.Code, w.Header())
	}
	got := w.Body.String()
	parts := strings.Split(got, "From MAILER-DAEMON ")
	if len(parts) != 3 || parts[0] != "" || strings.Contains(got, "\r") {
		t.Fatalf("%d messages: %.200q", len(parts)-1, got)
	}
	if !strings.Contains(parts[1], "\n>From here\n>>From there\n>>>From both\nxxx") || !strings.HasSuffix(parts[1], "xFrom in it\nend\n\n") || !strings.HasSuffix(parts[2], "\n\nTwo.\n\n") {
		t.Errorf("%.300q … %q, %q", parts[1], parts[1][len(parts[1])-30:], parts[2])
	}
	for path, code := range map[string]int{"/jmap/export/A7/F999": 404, "/jmap/export/A8/" + inbox: 404, "/jmap/export/A7/x": 404} {
		if w := r.do("GET", path, ""); w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := r.do("GET", "/jmap/export/A7/"+inbox, "", "Authorization", ""); w.Code != http.StatusUnauthorized {
		t.Error(w.Code)
	}
}
