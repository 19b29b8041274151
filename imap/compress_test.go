package imap

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// A recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) { return r.Buffer.Write(b) }
func (r *recorder) Read(b []byte) (int, error)  { return r.Buffer.Read(b) }

// What goes to a client on this machine is stored; if it takes long, it is compressed for
// a while. Whatever it is, it decodes to what was written.
func TestCompressNear(t *testing.T) {
	to := new(recorder)
	z := &deflated{Conn: to, near: true}
	rnd := rand.New(rand.NewPCG(1, 2))
	var want bytes.Buffer
	text := bytes.Repeat([]byte("A line of an ordinary message.\r\n"), 5000)
	for i := range 600 {
		piece := text[:rnd.IntN(len(text))>>rnd.IntN(12)]
		before := to.Len()
		if _, err := z.Write(piece); err != nil {
			t.Fatal(err)
		}
		want.Write(piece)
		sent := to.Len() - before
		if compressed := sent < len(piece); len(piece) > 100 && compressed != (i > 100 && i <= 100+slowFor) {
			t.Fatalf("write %d: %d bytes as %d", i, len(piece), sent)
		}
		// Not as long as it took, for the machine itself may be slow.
		z.slow = 0
		if i >= 100 {
			z.slow = int16(max(0, 100+slowFor-i))
		}
	}
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(flate.NewReader(&to.Buffer), got); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("it decodes to something else: %v", err)
	}
}

func TestCompressLearns(t *testing.T) {
	z := &deflated{near: true}
	z.learn(slowWrite - 1)
	if z.slow != 0 {
		t.Error("a fast write makes it slow")
	}
	z.learn(slowWrite)
	for i := range slowFor {
		if z.slow == 0 {
			t.Fatalf("fast again after %d writes", i)
		}
		z.learn(0)
	}
	if z.slow != 0 {
		t.Error("slow for ever")
	}
}
