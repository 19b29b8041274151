package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Two people of one server share a mailbox, over a restart: names, rights and what each
// has seen are those of the directory and the store.
func TestSharing(t *testing.T) {
	r := startRig(t)
	ada, ben := r.person(t, "ada"), r.person(t, "ben")
	owner := mustIMAP(t, r.imap, ada, r.password)
	for _, cmd := range []string{"CREATE Team", "SETACL Team " + ben + " lrsi"} {
		if _, err := owner.cmd("%s", cmd); err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
	}
	if _, err := owner.appendMessage("Team", "", []byte("Subject: for all\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	shared := `"Other Users/` + ada + `/Team"`
	for round := range 2 {
		guest := mustIMAP(t, r.imap, ben, r.password)
		a, err := guest.cmd(`LIST "" "*" RETURN (MYRIGHTS STATUS (MESSAGES UNSEEN))`)
		if err != nil {
			t.Fatal(err)
		}
		unseen := []string{"UNSEEN 1", "UNSEEN 0"}[round]
		if all := strings.Join(a.untagged, "\n"); !strings.Contains(all, `* MYRIGHTS `+shared+` lrsi`) || !strings.Contains(all, `* STATUS `+shared+` (MESSAGES 1 `+unseen+`)`) {
			t.Fatalf("round %d: %s", round, all)
		}
		for _, cmd := range []string{"SELECT " + shared, `STORE 1 +FLAGS.SILENT (\Seen)`, "COPY 1 INBOX"} {
			if _, err := guest.cmd("%s", cmd); err != nil {
				t.Fatalf("%s: %v", cmd, err)
			}
		}
		if _, err := guest.cmd(`STORE 1 +FLAGS.SILENT (\Deleted)`); err == nil {
			t.Error("a guest deletes what he may not")
		}
		if round == 0 {
			r.end(syscall.SIGTERM)
			r.start(t)
		}
	}
	owner = mustIMAP(t, r.imap, ada, r.password)
	a, err := owner.cmd("STATUS Team (UNSEEN)")
	if err != nil || !slices.Contains(a.untagged, "* STATUS Team (UNSEEN 1)") {
		t.Errorf("the owner: %v %v", a.untagged, err)
	}
	r.end(syscall.SIGTERM)
	r.check(t)
}
