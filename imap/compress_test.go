package imap

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
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
		if compressed := sent < len(piece); len(piece) > 100 && compressed != (i > 100 && i <= 200) {
			t.Fatalf("write %d: %d bytes as %d", i, len(piece), sent)
		}
		z.slow, z.waiting = 0, 0 // the machine itself may be slow
		if i >= 100 && i < 200 {
			z.slow = slowBytes
		}
	}
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(flate.NewReader(&to.Buffer), got); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("it decodes to something else: %v", err)
	}
}

func TestCompressLearns(t *testing.T) {
	z := &deflated{near: true}
	for _, took := range []time.Duration{slowTime - 1, slowTime} {
		z.learn(nearBytes/2, took)
		z.learn(nearBytes/2, 0)
		if slow := took == slowTime; slow != (z.slow > 0) {
			t.Errorf("after %v: slow for %d bytes", took, z.slow)
		}
	}
	for range slowBytes/nearBytes - 1 {
		z.learn(nearBytes, slowTime)
	}
	if z.slow != nearBytes {
		t.Errorf("slow for %d bytes", z.slow)
	}
	z.learn(nearBytes, slowTime)
	if z.slow != 0 {
		t.Error("slow for ever")
	}
}
