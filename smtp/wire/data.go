package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// Faults are what is wrong with the bytes of a message, each a distinct reason to
// refuse it (RFC 5321 §2.3.8, §4.1.1.4).
type Faults uint8

// The faults of message data.
const (
	FaultBareCR   Faults = 1 << iota // a CR without LF
	FaultBareLF                      // an LF without CR
	FaultNUL                         // a NUL octet
	FaultLongLine                    // a line over the limit
)

var faultNames = [...]string{"bare CR", "bare LF", "NUL", "line too long"}

func (f Faults) String() string {
	var s []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			s = append(s, name)
		}
	}
	return strings.Join(s, ", ")
}

// A LineCheck watches message bytes go by and notes their faults. It is what BDAT
// needs (RFC 3030 §2); a DataReader has one inside. The zero LineCheck has no
// limit.
type LineCheck struct {
	MaxLine int // octets in a line without CRLF; 0 is no limit
	faults  Faults
	line    int  // octets of the current line so far
	lastCR  bool // the last octet was a CR
	midLine bool // the last octets were not CRLF
}

// Check takes the next bytes of the message.
func (c *LineCheck) Check(b []byte) {
	for len(b) > 0 {
		b = b[c.scan(b):]
	}
}

// Finish ends the message and returns its faults.
func (c *LineCheck) Finish() Faults {
	if c.lastCR {
		c.faults |= FaultBareCR
	}
	return c.faults
}

// scan takes bytes up to, and without, the first line that starts with a dot, or
// all of them, and returns how many. At least one is taken.
func (c *LineCheck) scan(b []byte) int {
	i := 0
	for i < len(b) {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			c.part(b[i:])
			i = len(b)
			break
		}
		c.lineEnd(b[i : i+j])
		i += j + 1
		if i < len(b) && b[i] == '.' && !c.midLine {
			break
		}
	}
	if bytes.IndexByte(b[:i], 0) >= 0 {
		c.faults |= FaultNUL
	}
	return i
}

// lineEnd notes the last part of a line, without its LF.
func (c *LineCheck) lineEnd(p []byte) {
	crlf := c.lastCR
	if n := len(p); n > 0 {
		if c.lastCR {
			c.faults |= FaultBareCR
		}
		cr := bytes.IndexByte(p, '\r')
		crlf = p[n-1] == '\r'
		if cr >= 0 && cr < n-1 {
			c.faults |= FaultBareCR
		}
	}
	if !crlf {
		c.faults |= FaultBareLF
	}
	c.addLine(len(p))
	c.line, c.lastCR, c.midLine = 0, false, !crlf
}

// part notes bytes of a line that goes on.
func (c *LineCheck) part(p []byte) {
	if c.lastCR {
		c.faults |= FaultBareCR
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 && cr < len(p)-1 {
		c.faults |= FaultBareCR
	}
	c.addLine(len(p))
	c.lastCR, c.midLine = p[len(p)-1] == '\r', true
}

func (c *LineCheck) addLine(n int) {
	c.line += n
	if c.MaxLine > 0 && c.line > c.MaxLine+1 { // +1: the CR is counted
		c.faults |= FaultLongLine
	}
}

// A DataReader decodes what follows DATA, RFC 5321 §4.5.2: it removes dot-stuffing
// and stops after CRLF "." CRLF, and at nothing else that looks like it. It reads
// from r no byte beyond that. Faults do not stop it: a server that refuses the
// message must consume it to its real end first.
type DataReader struct {
	r     *bufio.Reader
	check LineCheck
	size  int64
	rest  []byte // for Read: not yet handed out
	err   error
}

// NewDataReader returns a DataReader over r, whose next byte is the first after
// the CRLF of DATA. Lines over maxLine octets (0: none) are a fault.
func NewDataReader(r *bufio.Reader, maxLine int) *DataReader {
	return &DataReader{r: r, check: LineCheck{MaxLine: maxLine}}
}

// Use goes on with another reader that has what the present one has not given yet.
func (d *DataReader) Use(r *bufio.Reader) { d.r = r }

// Size is the number of octets decoded so far.
func (d *DataReader) Size() int64 { return d.size }

// Faults are those seen so far; final once Next or Read returned io.EOF.
func (d *DataReader) Faults() Faults { return d.check.faults }

// Next returns the next decoded bytes, as many as r has in its buffer, without
// copying them; they are valid until the next call or read from r. The end of the
// data is io.EOF; that of the connection io.ErrUnexpectedEOF.
func (d *DataReader) Next() ([]byte, error) {
	for d.err == nil {
		if _, err := d.r.Peek(1); err != nil {
			return nil, d.fail(err)
		}
		buf, _ := d.r.Peek(d.r.Buffered()) // no read: they are there
		if buf[0] == '.' && !d.check.midLine {
			d.err = d.dot(buf)
			continue
		}
		n := d.check.scan(buf)
		_, _ = d.r.Discard(n) // within the buffer: cannot fail
		d.size += int64(n)
		return buf[:n], nil
	}
	return nil, d.err
}

// dot is at a dot that begins a line: the end of data, or a stuffed one.
func (d *DataReader) dot(buf []byte) error {
	if len(buf) < 3 {
		var err error
		// At least CRLF must still come, so waiting for it holds up nobody. A peer
		// that stops here is ended by its deadline.
		if buf, err = d.r.Peek(3); err != nil {
			return d.fail(err)
		}
	}
	if buf[1] == '\r' && buf[2] == '\n' {
		_, _ = d.r.Discard(3)
		return io.EOF
	}
	_, _ = d.r.Discard(1)
	d.check.midLine = true
	return nil
}

func (d *DataReader) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
	return err
}

// Read is Next with a copy, for those who need an io.Reader.
func (d *DataReader) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		var err error
		if d.rest, err = d.Next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// A DataWriter encodes a message for DATA, RFC 5321 §4.5.2: it stuffs dots and
// ends with CRLF "." CRLF. Message bytes from SMTP go through unchanged. Bytes from
// elsewhere may hold what RFC 5321 §2.3.8 forbids to send: an LF without CR becomes
// CRLF, for it is a line end to everyone who reads it, and a CR without LF becomes a
// space, so that no receiver can take it for a line end that we did not see.
type DataWriter struct {
	w       *bufio.Writer
	heldCR  bool // a CR at the end of the last Write, not yet written
	midLine bool
}

// NewDataWriter returns a DataWriter onto w.
func NewDataWriter(w *bufio.Writer) *DataWriter { return &DataWriter{w: w} }

// Write takes the next bytes of the message. The length is that of p.
func (d *DataWriter) Write(p []byte) (int, error) {
	n := len(p)
	if d.heldCR && n > 0 {
		d.heldCR = false
		if p[0] == '\n' {
			_, _ = d.w.WriteString("\r\n")
			p, d.midLine = p[1:], false
		} else {
			_ = d.w.WriteByte(' ')
			d.midLine = true
		}
	}
	for len(p) > 0 {
		p = d.line(p)
	}
	if _, err := d.w.Write(nil); err != nil { // bufio keeps its first error
		return 0, err
	}
	return n, nil
}

// line writes one line, or the part of one at the end of p, and returns the rest.
func (d *DataWriter) line(p []byte) []byte {
	if p[0] == '.' && !d.midLine {
		_ = d.w.WriteByte('.')
	}
	j := bytes.IndexByte(p, '\n')
	body, rest := p, []byte(nil)
	if j >= 0 {
		body, rest = p[:j], p[j+1:]
	}
	ends := len(body) > 0 && body[len(body)-1] == '\r'
	if ends {
		body = body[:len(body)-1]
	}
	d.text(body)
	if j >= 0 {
		_, _ = d.w.WriteString("\r\n")
		d.midLine = false
	} else {
		d.midLine = d.midLine || len(body) > 0
		d.heldCR = ends
	}
	return rest
}

// text writes bytes that are no line end: a CR among them is a bare one.
func (d *DataWriter) text(b []byte) {
	for {
		cr := bytes.IndexByte(b, '\r')
		if cr < 0 {
			_, _ = d.w.Write(b)
			return
		}
		_, _ = d.w.Write(b[:cr])
		_ = d.w.WriteByte(' ')
		b = b[cr+1:]
	}
}

// Close ends the last line if it has no end, writes the final dot and flushes.
func (d *DataWriter) Close() error {
	if d.heldCR {
		_, _ = d.w.WriteString("\r\n")
		d.midLine = false
	}
	if d.midLine {
		_, _ = d.w.WriteString("\r\n")
	}
	_, _ = d.w.WriteString(".\r\n")
	return d.w.Flush()
}
