package imap

import (
	"bytes"
	"compress/flate"
	"net"
	"strings"
	"sync"
	"time"

	"posthouse/imap/wire"
	"posthouse/internal/inflate"
)

// extCompress is COMPRESS=DEFLATE, RFC 4978 §3.
var extCompress = &extension{name: "COMPRESS=DEFLATE", rfc: "RFC 4978",
	caps: func(c *conn, dst []byte) []byte {
		if _, on := c.nc.(*deflated); on {
			return dst
		}
		return append(dst, " COMPRESS=DEFLATE"...)
	},
	commands: []command{{"COMPRESS", loggedIn, tellNothing, false, (*conn).compress}},
}

// compress is COMPRESS: the OK is the last that goes in the clear, and the client
// sends nothing before it has seen it.
func (c *conn) compress(d *wire.Decoder) error {
	d.SP()
	alg := d.Atom()
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if !strings.EqualFold(alg, "DEFLATE") {
		return bad("unknown compression")
	}
	if _, on := c.nc.(*deflated); on {
		return bad("compression is active")
	}
	c.tagged(c.tag, "OK", "", "DEFLATE active")
	if err := c.flush(); err != nil {
		return err
	}
	c.rd.Reset(c)
	c.nc, c.raw = &deflated{Conn: c.nc, near: c.peer.IsLoopback()}, nil
	c.srv.upgraded(c)
	return errAnswered
}

// decompress ends the compression behind the OK of UNAUTHENTICATE, RFC 8437 §4.1.
func (c *conn) decompress(z *deflated) error {
	c.tagged(c.tag, "OK", "", "compression ends here")
	if err := c.flush(); err != nil {
		return err
	}
	c.rd.Reset(c)
	c.nc, c.raw = z.Conn, rawOf(z.Conn)
	c.srv.upgraded(c)
	return errAnswered
}

// A deflated connection compresses what is written to it. What it keeps while it
// waits is the peer's history, at most 32 KiB; compressors belong to nobody. Each
// Write ends with a flush, and the next begins without history: the loss is small,
// for output comes in pieces of up to Limits.FlushBytes.
type deflated struct {
	net.Conn
	in      inflate.Decoder
	small   [128]byte // where compressed bytes arrive, but for long literals
	large   *[]byte   // for those; nil while it waits
	pending []byte    // not decoded yet
	// near: the peer is on this machine, where compression costs more than it saves. What
	// goes to it is stored, unless it turns out to be a tunnel to somewhere slow: then the
	// next bytes, as many as slow says, are compressed.
	near    bool
	slow    int
	sent    int           // since it was last looked at how fast they go
	waiting time.Duration // for them
}

// If nearBytes take slowTime, the line is slow, and for slowBytes this is believed.
const (
	nearBytes = 1 << 20
	slowTime  = 2 * time.Second
	slowBytes = 16 << 20
)

// bulk is the size from which a read is for a long literal.
const bulk = 4 << 10

var (
	deflaters = sync.Pool{New: func() any { return newDeflater() }}
	inputs    = sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}
)

// A deflater is a compressor and the place where it writes to.
type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

func newDeflater() *deflater {
	z := &deflater{}
	z.w, _ = flate.NewWriter(&z.out, flate.BestSpeed) // fails for an unknown level only
	return z
}

// Write compresses b and sends it in one piece.
func (z *deflated) Write(b []byte) (int, error) {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	if z.near && z.slow == 0 {
		d.store(b)
	} else if err := d.compress(b); err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := z.Conn.Write(d.out.Bytes()); err != nil {
		return 0, err
	}
	z.learn(len(b), time.Since(start))
	return len(b), nil
}

// learn takes how long a write of n bytes took.
func (z *deflated) learn(n int, took time.Duration) {
	if z.slow > 0 {
		z.slow = max(0, z.slow-n)
		return
	}
	z.sent, z.waiting = z.sent+n, z.waiting+took
	if z.sent >= nearBytes {
		if z.waiting >= slowTime {
			z.slow = slowBytes
		}
		z.sent, z.waiting = 0, 0
	}
}

func (d *deflater) compress(b []byte) error {
	d.w.Reset(&d.out)
	if _, err := d.w.Write(b); err != nil {
		return err
	}
	return d.w.Flush()
}

// store writes b as stored blocks, RFC 1951 §3.2.4; what was written before ended at the
// end of a byte.
func (d *deflater) store(b []byte) {
	for len(b) > 0 {
		n := min(len(b), 1<<16-1)
		d.out.Write([]byte{0, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)})
		d.out.Write(b[:n])
		b = b[n:]
	}
}

// Read gives out every byte whose bits have come, whatever the peer flushes.
func (z *deflated) Read(p []byte) (int, error) {
	for {
		n, used, err := z.in.Decode(p, z.pending)
		z.pending = z.pending[used:]
		if len(z.pending) == 0 && z.large != nil {
			inputs.Put(z.large)
			z.large = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
		buf := z.small[:]
		if len(p) >= bulk {
			z.large = inputs.Get().(*[]byte)
			buf = *z.large
		} else {
			z.in.Compact()
		}
		n, err = z.Conn.Read(buf)
		z.pending = buf[:n]
		if n == 0 && err != nil {
			return 0, err
		}
	}
}
