package imap

import "testing"

// TestDrop: after a change of the account its connections end, idle or not; those
// of others go on, and so does who logs in anew.
func TestDrop(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	idle, waiting, other := h.client("ada"), h.client("ada"), h.client("ben")
	idle.send("a SELECT INBOX\r\nb IDLE\r\n")
	idle.until("+ ")
	h.srv.Drop(accounts["ada"])
	idle.until("* BYE [EXPIRED]")
	waiting.until("* BYE [EXPIRED]")
	other.send("a NOOP\r\n")
	other.until("a OK")
	again := h.client("ada")
	again.send("a NOOP\r\n")
	again.until("a OK")
}
