package imap

import (
	"bytes"
	"io"

	"posthouse/imap/wire"
	"posthouse/message"
)

// extBinary is BINARY: parts without their content-transfer-encoding, RFC 3516
// §4.2 and §4.3. APPEND takes literal8 in any case (§4.4).
var extBinary = &extension{name: "BINARY", rfc: "RFC 3516",
	fetch: []fetchItem{
		{"BINARY", needBytes, func(c *conn, d *wire.Decoder, b *boundItem) { c.readBinary(d, b, true) }, writeBinary},
		{"BINARY.PEEK", needBytes, func(c *conn, d *wire.Decoder, b *boundItem) { c.readBinary(d, b, false) }, writeBinary},
		{"BINARY.SIZE", needBytes, readBinarySize, writeBinarySize},
	},
}

func (c *conn) readBinary(d *wire.Decoder, b *boundItem, seen bool) {
	b.seen = seen
	readBinaryPath(d, b, "BINARY[")
	readPartial(d, &b.section)
	b.section.label = append(b.section.label, ' ')
}

func readBinarySize(_ *conn, d *wire.Decoder, b *boundItem) {
	readBinaryPath(d, b, "BINARY.SIZE[")
	b.section.label = append(b.section.label, ' ')
}

func readBinaryPath(d *wire.Decoder, b *boundItem, name string) {
	d.Expect('[')
	start := d.Mark()
	readPath(d, &b.section)
	b.section.label = append([]byte(name), d.Since(start)...)
	d.Expect(']')
	b.section.label = append(b.section.label, ']')
}

// binary finds a part and how it is encoded.
func (f *fetch) binary(m *fetched, path []int) (r message.Range, encoding string, ok bool) {
	r, ok = f.section(m, path, message.SpecAll)
	if !ok || len(path) == 0 {
		return r, "binary", ok
	}
	encoding = "binary"
	if i, found := m.msg.PartAt(path); found {
		if p := &m.msg.Parts[i]; !p.IsMultipart() && !p.IsMessage() {
			encoding = p.Encoding
		}
	}
	return r, encoding, true
}

func (f *fetch) reader(m *fetched, r message.Range) io.Reader {
	if m.raw != nil {
		return bytes.NewReader(m.raw[r.Start:r.End])
	}
	return io.NewSectionReader(m.body, r.Start, r.Len())
}

// writeBinary writes BINARY[part]. What cannot be decoded is said by a NO
// [UNKNOWN-CTE] behind a NIL (RFC 3516 §4.3).
func writeBinary(f *fetch, m *fetched, b *boundItem, dst []byte) []byte {
	dst = append(dst, b.section.label...)
	r, encoding, ok := f.binary(m, b.section.path)
	if !ok {
		return append(dst, "NIL"...)
	}
	if !message.KnownEncoding(encoding) {
		f.unknownCTE = true
		return append(dst, "NIL"...)
	}
	size, nul, err := f.measure(m, r, encoding)
	if err != nil {
		f.c.broken(err)
		return dst
	}
	cut := message.Range{End: size}
	if b.section.partial {
		cut = cut.Cut(b.section.first, b.section.count)
	}
	src, err := message.NewDecoder(f.reader(m, r), encoding)
	if err == nil {
		_, err = io.CopyN(io.Discard, src, cut.Start)
	}
	if err != nil {
		f.c.broken(err)
		return dst
	}
	if nul {
		dst = append(dst, '~')
	}
	return f.c.copyOut(wire.AppendLiteral(dst, cut.Len()), src, cut.Len())
}

// measure decodes a part to learn its size and whether it holds a NUL, which only
// a literal8 may.
func (f *fetch) measure(m *fetched, r message.Range, encoding string) (size int64, nul bool, err error) {
	src, err := message.NewDecoder(f.reader(m, r), encoding)
	if err != nil {
		return 0, false, err
	}
	if cap(f.part) < 32<<10 {
		f.part = make([]byte, 32<<10)
	}
	buf := f.part[:cap(f.part)]
	for {
		n, err := src.Read(buf)
		size += int64(n)
		nul = nul || bytes.IndexByte(buf[:n], 0) >= 0
		if err == io.EOF {
			return size, nul, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}

// writeBinarySize writes BINARY.SIZE[part].
func writeBinarySize(f *fetch, m *fetched, b *boundItem, dst []byte) []byte {
	dst = append(dst, b.section.label...)
	r, encoding, ok := f.binary(m, b.section.path)
	if ok && !message.KnownEncoding(encoding) {
		f.unknownCTE, ok = true, false
	}
	if !ok {
		return append(dst, '0')
	}
	size, _, err := f.measure(m, r, encoding)
	if err != nil {
		f.c.broken(err)
	}
	return appendUint(dst, uint64(size))
}
