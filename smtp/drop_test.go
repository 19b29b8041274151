package smtp

import (
	"testing"

	"posthouse/store/engine/mem"
)

// After a change of an account its sessions end, at once if they wait; those of others
// go on.
func TestDrop(t *testing.T) {
	h := newHouse(t, mem.New(), func(o *Options) { o.AllowPlaintextLogin = true })
	addr := h.listen(Submission)
	ada, ben := h.dial(addr), h.dial(addr)
	for p, plain := range map[*client]string{ada: "AGFkYUBkZW1vLnRlc3QAZGVtbw==", ben: "AGJlbkBkZW1vLnRlc3QAZGVtbw=="} {
		p.want("220")
		p.send("EHLO client.test", "AUTH PLAIN "+plain)
		p.want("250", "235")
	}
	h.srv.Drop(1)
	ada.want("421 4.7.0 The account was changed")
	ada.wantClosed()
	ben.send("NOOP")
	ben.want("250")
}
