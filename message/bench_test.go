package message_test

import (
	"bytes"
	"testing"

	"posthouse/internal/corpus"
	"posthouse/message"
)

// simple returns messages of one text part, about 7 KB each.
func simpleMessages() [][]byte {
	var out [][]byte
	for _, raw := range corpus.Random(3, 400, 7200) {
		if m := message.Parse(raw); len(m.Parts) == 1 && len(raw) > 6500 && len(raw) < 7800 {
			out = append(out, raw)
		}
	}
	return out
}

// BenchmarkParseSimple is what delivery costs: one pass, and the structures that
// the store keeps. The target is 12 µs for 7 KB.
func BenchmarkParseSimple(b *testing.B) {
	raws := simpleMessages()
	p := message.NewParser(message.Limits{})
	var buf []byte
	b.ReportAllocs()
	b.SetBytes(7200)
	for i := 0; b.Loop(); i++ {
		p.Reset()
		p.Write(raws[i%len(raws)])
		m := p.Close()
		buf = m.AppendEnvelope(buf[:0])
		buf = m.AppendBodyStructure(buf)
		buf = m.AppendTable(buf)
		if m.Subject() == "" || m.MessageID() == "" || m.Preview() == "" {
			b.Fatal("nothing there")
		}
		m.References()
		m.Date()
	}
}

func BenchmarkParseMixed(b *testing.B) {
	raws := corpus.Random(3, 100, 8192)
	p := message.NewParser(message.Limits{})
	b.ReportAllocs()
	b.SetBytes(8192)
	for i := 0; b.Loop(); i++ {
		p.Reset()
		p.Write(raws[i%len(raws)])
		p.Close()
	}
}

func BenchmarkParseLargeBase64(b *testing.B) {
	raw := corpus.Random(1, 1, 4<<20)[0]
	raw = append([]byte("Content-Type: multipart/mixed; boundary=xyz\r\n\r\n--xyz\r\n"), raw...)
	b.SetBytes(int64(len(raw)))
	p := message.NewParser(message.Limits{})
	for b.Loop() {
		p.Reset()
		for at := 0; at < len(raw); at += 32 << 10 {
			p.Write(raw[at:min(at+32<<10, len(raw))])
		}
		p.Close()
	}
}

func BenchmarkParseTable(b *testing.B) {
	table := message.Parse(corpus.Random(3, 1, 8192)[0]).AppendTable(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.ParseTable(table); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(table)), "bytes")
}

func BenchmarkHeaderFields(b *testing.B) {
	raw := corpus.Random(3, 1, 8192)[0]
	names := []string{"From", "To", "Subject", "Date", "Message-ID"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = message.AppendHeaderFields(buf[:0], raw, names, false)
	}
}

// BenchmarkTextReader is what a search through bodies costs.
func BenchmarkTextReader(b *testing.B) {
	raws := corpus.Random(3, 100, 8192)
	var ms []*message.Message
	for _, raw := range raws {
		ms = append(ms, message.Parse(raw))
	}
	var t message.TextReader
	var src bytes.Reader
	buf := make([]byte, 32<<10)
	b.ReportAllocs()
	b.SetBytes(8192)
	for i := 0; b.Loop(); i++ {
		m, raw := ms[i%100], raws[i%100]
		for j := range m.Parts {
			if p := &m.Parts[j]; p.IsText() {
				src.Reset(raw[p.BodyStart:p.BodyEnd])
				t.Reset(&src, p)
				for {
					if _, err := t.Read(buf); err != nil {
						break
					}
				}
			}
		}
	}
}
