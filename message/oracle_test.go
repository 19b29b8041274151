package message_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gomessage "github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	gomail "github.com/emersion/go-message/mail"

	"posthouse/internal/corpus"
	"posthouse/message"
)

// TestGoMessageAgrees compares what we make of well-made mail with what
// emersion/go-message makes of it: the tree of parts, their types, their decoded
// content, and the decoded header fields.
func TestGoMessageAgrees(t *testing.T) {
	compared := 0
	for i, it := range corpus.Demo(time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)) {
		m := message.Parse(it.Raw)
		if strings.HasPrefix(m.Subject(), "Broken:") {
			continue
		}
		e, err := gomessage.Read(bytes.NewReader(it.Raw))
		if err != nil && (!gomessage.IsUnknownCharset(err) && !gomessage.IsUnknownEncoding(err)) {
			continue
		}
		h := gomail.Header{Header: e.Header}
		if s, err := h.Subject(); err == nil && s != m.Subject() && utf8.Valid(m.Header.RawValue("Subject")) {
			t.Errorf("item %d: subject %q, theirs %q", i, m.Subject(), s)
		}
		if d, err := h.Date(); err == nil {
			if ours, ok := m.Date(); !ok || !ours.Equal(d) {
				t.Errorf("item %d: date %v, theirs %v", i, ours, d)
			}
		}
		if id, err := h.MessageID(); err == nil && id != m.MessageID() {
			t.Errorf("item %d: id %q, theirs %q", i, m.MessageID(), id)
		}
		if list, err := h.AddressList("To"); err == nil {
			ours := m.Header.Addresses("To")
			for j := range list {
				if j >= len(ours) || ours[j].Name != list[j].Name || ours[j].Address.String() != list[j].Address {
					t.Errorf("item %d: To %v, theirs %v", i, ours, list)
					break
				}
			}
		}
		compared += comparePart(t, m, it.Raw, 0, e)
	}
	if compared < 250 {
		t.Errorf("only %d parts were compared", compared)
	}
}

// comparePart compares Parts[i] and those inside it with e.
func comparePart(t *testing.T, m *message.Message, raw []byte, i int, e *gomessage.Entity) int {
	t.Helper()
	p := &m.Parts[i]
	typ, _, err := e.Header.ContentType()
	if err == nil && typ != p.Type+"/"+p.Subtype {
		t.Errorf("%s: part %d is %s/%s, theirs %s", m.Subject(), i, p.Type, p.Subtype, typ)
		return 0
	}
	if mr := e.MultipartReader(); mr != nil {
		n := 1
		for c := range m.ChildrenOf(i) {
			child, err := mr.NextPart()
			if err != nil && child == nil {
				t.Errorf("%s: part %d of %d is too much: %v", m.Subject(), c, i, err)
				return n
			}
			n += comparePart(t, m, raw, c, child)
		}
		if _, err := mr.NextPart(); err != io.EOF {
			t.Errorf("%s: a part of %d is missing: %v", m.Subject(), i, err)
		}
		return n
	}
	theirs, err := io.ReadAll(e.Body)
	if err != nil {
		return 0
	}
	body := bytes.NewReader(raw[p.BodyStart:p.BodyEnd])
	var r io.Reader = body
	if p.IsText() {
		if d, err := message.NewDecoder(body, p.Encoding); err == nil {
			r = message.NewCharsetReader(d, p.Charset())
		}
	} else if r, err = message.NewDecoder(body, p.Encoding); err != nil {
		return 0
	}
	ours, _ := io.ReadAll(r)
	if !bytes.Equal(ours, theirs) && p.Charset() != "utf-7" && p.Charset() != "x-martian" && p.Charset() != "" {
		t.Errorf("%s: part %d is %.80q, theirs %.80q", m.Subject(), i, ours, theirs)
	}
	return 1
}
