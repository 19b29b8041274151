package message

import (
	"bufio"
	"bytes"
	"io"

	"posthouse/mail"
)

// ErrUnknownEncoding says that a Content-Transfer-Encoding is none that we can
// undo: UNKNOWN-CTE of RFC 3516 §4.3.
var ErrUnknownEncoding error = &mail.Error{Kind: mail.Invalid, Op: "message.NewDecoder",
	Text: "unknown content-transfer-encoding"}

// NewDecoder undoes a content-transfer-encoding (RFC 2045 §6) on the bytes that
// it reads from r. Damaged input is decoded as far as it makes sense: bytes that
// do not belong into base64 are passed over, bad escapes of quoted-printable stay
// as they are. The only errors are ErrUnknownEncoding and those of r.
func NewDecoder(r io.Reader, encoding string) (io.Reader, error) {
	switch decoding(encoding) {
	case decodeNothing:
		return r, nil
	case decodeBase64:
		return &base64Reader{r: r}, nil
	case decodeQP:
		return &qpReader{r: bufio.NewReaderSize(r, qpBuffer)}, nil
	}
	return nil, ErrUnknownEncoding
}

// KnownEncoding reports whether NewDecoder can undo an encoding.
func KnownEncoding(encoding string) bool { return decoding(encoding) != decodeUnknown }

type decoder uint8

const (
	decodeUnknown decoder = iota
	decodeNothing
	decodeBase64
	decodeQP
)

// decoders are the encodings of RFC 2045 §6.1, and how some mailers spell them.
var decoders = map[string]decoder{"": decodeNothing, "7bit": decodeNothing, "8bit": decodeNothing, "binary": decodeNothing,
	"7-bit": decodeNothing, "8-bit": decodeNothing, "none": decodeNothing, "base64": decodeBase64, "base-64": decodeBase64,
	"quoted-printable": decodeQP, "quotedprintable": decodeQP, "quoted_printable": decodeQP}

func decoding(encoding string) decoder {
	if d, ok := decoders[encoding]; ok {
		return d
	}
	return decoders[internLower(trimSpace([]byte(encoding)))]
}

// DecodedSize reads r to its end and returns how many bytes its decoded form has:
// BINARY.SIZE of RFC 3516 §4.3.
func DecodedSize(r io.Reader, encoding string) (int64, error) {
	d, err := NewDecoder(r, encoding)
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, d)
}

// A base64Reader decodes base64 and passes over everything else.
type base64Reader struct {
	r    io.Reader
	err  error
	in   []byte // what of buf was not decoded yet
	acc  uint32
	bits int
	buf  [3072]byte
}

func (d *base64Reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(d.in) == 0 {
			if n > 0 || d.err != nil {
				break
			}
			var got int
			got, d.err = d.r.Read(d.buf[:])
			d.in = d.buf[:got]
			continue
		}
		n += d.decode(p[n:])
	}
	if n == 0 && len(p) > 0 {
		return 0, d.err
	}
	return n, nil
}

// decode decodes from in to p until one of them ends.
func (d *base64Reader) decode(p []byte) int {
	n, i := 0, 0
	for i < len(d.in) && n < len(p) {
		if d.bits == 0 { // whole groups
			for i+4 <= len(d.in) && n+3 <= len(p) {
				a, b, c, e := base64Value[d.in[i]], base64Value[d.in[i+1]], base64Value[d.in[i+2]], base64Value[d.in[i+3]]
				if a|b|c|e > 63 {
					break
				}
				p[n], p[n+1], p[n+2] = a<<2|b>>4, b<<4|c>>2, c<<6|e
				i, n = i+4, n+3
			}
			if i == len(d.in) || n == len(p) {
				break
			}
		}
		v := base64Value[d.in[i]]
		if v > 63 {
			if d.in[i] == '=' {
				d.acc, d.bits = 0, 0
			}
			i++
			continue
		}
		i++
		d.acc = d.acc<<6 | uint32(v)
		if d.bits += 6; d.bits >= 8 {
			d.bits -= 8
			p[n] = byte(d.acc >> d.bits)
			n++
		}
	}
	d.in = d.in[i:]
	return n
}

// A qpReader decodes quoted-printable, RFC 2045 §6.7.
type qpReader struct {
	r     *bufio.Reader
	out   []byte // decoded bytes that wait for Read
	space []byte // white space that is dropped if a line end follows
	buf   []byte
}

// qpBuffer is the input of a qpReader, more than maxTrailing.
const qpBuffer = 4096

// maxTrailing bounds the white space that is held back to see whether the line
// ends after it.
const maxTrailing = 1024

func (d *qpReader) Read(p []byte) (int, error) {
	for len(d.out) == 0 && len(p) > 0 {
		d.buf = d.buf[:0]
		err := d.fill()
		d.out = d.buf
		if len(d.out) == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// fill decodes what is buffered, at least one byte.
func (d *qpReader) fill() error {
	for n := 0; n == 0 || n < 4096 && d.r.Buffered() > 0; n++ {
		c, err := d.r.ReadByte()
		if err != nil {
			d.buf = append(d.buf, d.space...) // the text does not end with a line end
			d.space = d.space[:0]
			return err
		}
		switch c {
		case ' ', '\t':
			if d.space = append(d.space, c); len(d.space) > maxTrailing {
				d.flushSpace()
			}
		case '\r', '\n':
			if c == '\r' {
				if next, _ := d.r.Peek(1); len(next) == 0 || next[0] != '\n' {
					d.flushSpace()
				}
			}
			d.space = d.space[:0]
			d.buf = append(d.buf, c)
		case '=':
			d.flushSpace()
			d.escape()
		default:
			d.flushSpace()
			d.buf = append(d.buf, c)
			d.plain()
		}
	}
	return nil
}

// plain takes what is buffered of the line as far as it means itself.
func (d *qpReader) plain() {
	b, _ := d.r.Peek(d.r.Buffered())
	for _, c := range [...]byte{'\n', '\r', '='} {
		if i := bytes.IndexByte(b, c); i >= 0 {
			b = b[:i]
		}
	}
	for len(b) > 0 && isWSP(b[len(b)-1]) { // it may be trailing
		b = b[:len(b)-1]
	}
	d.buf = append(d.buf, b...)
	d.r.Discard(len(b))
}

func (d *qpReader) flushSpace() {
	d.buf = append(d.buf, d.space...)
	d.space = d.space[:0]
}

// escape decodes what follows "=": two digits, or a line end that is none.
func (d *qpReader) escape() {
	next, _ := d.r.Peek(2)
	if len(next) == 2 && unhex(next[0]) >= 0 && unhex(next[1]) >= 0 {
		d.buf = append(d.buf, byte(unhex(next[0])<<4|unhex(next[1])))
		d.r.Discard(2)
		return
	}
	next, _ = d.r.Peek(maxTrailing)
	i := 0
	for i < len(next) && isWSP(next[i]) {
		i++
	}
	switch rest := next[i:]; {
	case len(rest) == 0 && len(next) < maxTrailing: // "=" is the last byte
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		i += 2
	case len(rest) > 0 && rest[0] == '\n':
		i++
	default:
		d.buf = append(d.buf, '=')
		return
	}
	d.r.Discard(i)
}
