package store

import (
	"bytes"
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/message"
)

// sampleRows are messages with all that a column can hold.
func sampleRows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{UID: UID(10 + i*i), Flags: FlagSet(i % 3), Size: uint32(i * 70_000), InternalDate: int64(i-3) << (i % 60), SaveDate: 1_800_000_000,
			ModSeq: ModSeq(1) << (i % 50), Email: EmailID(i * 3)}
	}
	return rows
}

func TestChunkCodec(t *testing.T) {
	for _, n := range []int{1, 2, 5, 50, chunkRows} {
		k := newChunk(10, n)
		for _, r := range sampleRows(n) {
			k.push(&r)
		}
		cols, err := decodeColumns(appendColumns(nil, k.cols), new(columns))
		must(t, err)
		mark, err := decodeMarks(appendMarks(nil, k.mark), 3, new(marks))
		must(t, err)
		back := chunk{10, cols, mark}
		for j := range n {
			if back.row(j) != k.row(j) {
				t.Fatalf("row %d: %+v, want %+v", j, back.row(j), k.row(j))
			}
		}
		if _, err := decodeMarks(appendMarks(nil, k.mark), 1, new(marks)); n > 1 && mail.KindOf(err) != mail.Corrupt {
			t.Errorf("a flag set that does not exist: %v", err)
		}
	}
}

// Chunks whose columns hold the same values share them once they were read from disk,
// and what is changed in one, or appended behind it, is not seen in the other.
func TestChunksShareColumns(t *testing.T) {
	rows := func(from, n int) *chunk {
		k := newChunk(UID(from), n)
		for i := range n {
			k.push(&Row{UID: UID(from + i), Flags: FlagSet(i % 3), Size: uint32(i*i + from), InternalDate: 9, SaveDate: 7, ModSeq: 5, Email: EmailID(from + i)})
		}
		return k
	}
	read := func(k, prev *chunk) *chunk {
		cols, err := decodeColumns(appendColumns(nil, k.cols), prev.cols)
		must(t, err)
		mark, err := decodeMarks(appendMarks(nil, k.mark), 3, prev.mark)
		must(t, err)
		return &chunk{k.base, cols, mark}
	}
	same := func(got, want *chunk) {
		t.Helper()
		for j := range want.cols.uid {
			if got.row(j) != want.row(j) {
				t.Fatalf("row %d: %+v, want %+v", j, got.row(j), want.row(j))
			}
		}
	}
	one, two, short := rows(1, 100), rows(200, 100), rows(400, 40)
	a := read(one, &chunk{cols: new(columns), mark: new(marks)})
	b := read(two, a)
	c := read(short, b) // the first of what b holds
	if &a.cols.save[0] != &b.cols.save[0] || &a.cols.email.narrow[0] != &b.cols.email.narrow[0] || &b.mark.flags[0] != &c.mark.flags[0] {
		t.Error("equal columns are held twice")
	}
	longer := c.extend()
	r := Row{UID: 900, Flags: 2, Size: 3, InternalDate: 4, SaveDate: 5, ModSeq: 6, Email: 407}
	longer.push(&r)
	if longer.row(40) != r {
		t.Errorf("appended %+v", longer.row(40))
	}
	same(a, one)
	same(b, two)
	same(c, short)
}

func FuzzColumns(f *testing.F) {
	for _, n := range []int{1, 3, 40} {
		k := newChunk(10, n)
		for _, r := range sampleRows(n) {
			k.push(&r)
		}
		f.Add(appendColumns(nil, k.cols), appendMarks(nil, k.mark))
	}
	f.Fuzz(func(t *testing.T, s, m []byte) {
		cols, err := decodeColumns(s, new(columns))
		if err != nil {
			return
		}
		if len(cols.uid) > chunkRows || !slices.IsSorted(cols.uid) {
			t.Fatal("bad columns accepted")
		}
		again, err := decodeColumns(appendColumns(nil, cols), cols)
		if err != nil || !slices.Equal(again.uid, cols.uid) || !slices.Equal(again.date.appendTo(nil, 0, len(cols.uid)), cols.date.appendTo(nil, 0, len(cols.uid))) ||
			!slices.Equal(again.email.appendTo(nil, 0, len(cols.uid)), cols.email.appendTo(nil, 0, len(cols.uid))) {
			t.Fatalf("columns do not survive: %v", err)
		}
		if mark, err := decodeMarks(m, 9, new(marks)); err == nil && slices.Max(mark.flags) >= 9 {
			t.Fatal("bad marks accepted")
		}
	})
}

func sampleJournal() []byte {
	b := []byte{formatVersion}
	b = appendBoxEvent(b, actCreate, 3)
	rows := sampleRows(5)
	for i := range rows {
		rows[i].UID = UID(7 + i)
	}
	b = appendAdd(b, 3, rows)
	b = appendFlagged(b, 3, FlagsAdd, 2, UIDSet{{1, 5}, {9, 9}, {1 << 31, 1<<32 - 1}})
	b = appendExpunged(b, 3, UIDSet{{8, 9}}, []EmailID{5, 2})
	b = appendSeenEvent(b, 3, 7, true, UIDSet{{1, 4}, {9, 9}})
	b = appendBoxEvent(b, actACL, 3)
	b = appendTouched(b, 3, UIDSet{{2, 2}, {5, 1 << 20}})
	b = appendObjectEvent(b, actObjectMade, ObjectIdentity, "i1")
	b = appendObjectEvent(b, actObjectGone, ObjectIdentity, "i1")
	return appendBoxEvent(b, actDelete, 3)
}

func FuzzSharing(f *testing.F) {
	f.Add(byte(0), appendACL(nil, acl{{Anyone, RightLookup, 0}, {7, RightRead | RightSeen, RightWrite}, {1 << 40, 0, AllRights}}))
	f.Add(byte(1), appendSeen(nil, &seenRuns{seenSpan, []seenRun{{seenSpan, seenSpan, 9, true}, {seenSpan + 7, 2*seenSpan - 1, 1 << 50, false}}}))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if kind%2 == 0 {
			l, err := decodeACL(b)
			if err != nil {
				return
			}
			if again, err := decodeACL(appendACL(nil, l)); err != nil || !slices.Equal(again, l) {
				t.Fatalf("%v, %v, %v", l, again, err)
			}
			l.rights(&Principal{Account: 7, Groups: []mail.AccountID{1, 1 << 40}}, "")
			return
		}
		s, err := decodeSeen(seenSpan, b)
		if err != nil {
			return
		}
		if again, err := decodeSeen(seenSpan, appendSeen(nil, s)); err != nil || !slices.Equal(again.runs, s.runs) {
			t.Fatalf("%v, %v, %v", s, again, err)
		}
		var w seenWindow
		w.load(seenSpan, &overlay{spans: []*seenRuns{s}})
	})
}

func FuzzJournal(f *testing.F) {
	f.Add(sampleJournal())
	f.Add([]byte{formatVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		out := []byte{formatVersion}
		err := decodeJournal(b, 9, 3, func(e *event) bool {
			emails := make([]EmailID, len(e.rows))
			for i, r := range e.rows {
				emails[i] = r.Email
			}
			switch e.action {
			case actAdd:
				out = appendAdd(out, e.mailbox, e.rows)
			case actFlags:
				out = appendFlagged(out, e.mailbox, e.op, e.mask, e.uids)
			case actExpunge:
				out = appendExpunged(out, e.mailbox, e.uids, emails)
			case actTouch:
				out = appendTouched(out, e.mailbox, e.uids)
			case actSeen:
				out = appendSeenEvent(out, e.mailbox, e.user, e.seen, e.uids)
			case actObject, actObjectGone, actObjectMade:
				out = appendObjectEvent(out, e.action, ObjectKind(e.mailbox), e.object)
			default:
				out = appendBoxEvent(out, e.action, e.mailbox)
			}
			return true
		})
		if err != nil {
			return
		}
		// What was understood is written in one way and understood again.
		again := []byte{formatVersion}
		if err := decodeJournal(out, 9, 3, func(e *event) bool { return true }); err != nil {
			t.Fatalf("%x, written as %x: %v", b, out, err)
		}
		_ = again
		c := noContent
		decodeJournal(out, 9, 3, func(e *event) bool {
			table := flagTable{sets: []flagSet{{}, {system: SeenBit}, {system: DeletedBit}}}
			if next, err := c.apply(e, 9, &table); err == nil {
				c = next
			}
			return c.n < 10_000
		})
	})
}

func sampleEmail() *Email {
	return &Email{ID: 9, Thread: 4, Size: 1000, Sent: sentTime(1_700_000_000, 330), Envelope: []byte("(NIL)"), BodyStructure: []byte("(x)"),
		Preview: []byte("Hello"), HasAttachment: true, Prefix: []byte("A: b\r\n"), table: []byte{1, 0, 0}, references: []uint64{1, 1 << 63},
		findings: appendFindings(nil, []mail.Finding{{Check: "spf", Result: "fail", Weight: -3}}),
		fields:   message.AppendFields(nil, []byte("Date: x\r\nTo: y\r\n\r\n"), nil)}
}

func FuzzEmail(f *testing.F) {
	f.Add(append(appendEmail(nil, sampleEmail()), 0, 0, 0, 0, 0, 0, 0, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, o Email
		if decodeEmail(&e, 9, b) != nil {
			return
		}
		e.Message()
		e.Findings()
		out := appendEmail(nil, &e)
		out = append(out, b[len(b)-8:]...)
		if err := decodeEmail(&o, 9, out); err != nil || !bytes.Equal(e.Envelope, o.Envelope) || e.blob != o.blob || !bytes.Equal(e.findings, o.findings) || !bytes.Equal(e.fields, o.fields) || !e.Sent.Equal(o.Sent) {
			t.Fatalf("%+v, %+v, %v", e, o, err)
		}
	})
}

func FuzzAccountRecords(f *testing.F) {
	f.Add(byte(0), appendHeader(nil, &header{modseq: 9, nextEmail: 3, bytes: 1 << 40}))
	f.Add(byte(0), appendHeader(nil, &header{modseq: 9, quota: Quota{1 << 31, 5, 7}, domain: "demo.test"}))
	f.Add(byte(0), appendHeader(nil, &header{modseq: 9, counted: true, multi: 3, swept: 7}))
	f.Add(byte(4), append(append(annotationKey(3, 1, "/private-comment-of-23"), 'x'), formatVersion, 'v', 0))
	f.Add(byte(5), []byte{formatVersion, 0x80, 0x9a, 0xdf, 0x9a, 7})
	f.Add(byte(0), []byte{formatVersion, 9, 3, 2, 7, 0, 0, 25, 1, 1, 1}) // as first written
	f.Add(byte(1), appendMailbox(nil, &box{mb: Mailbox{Parent: 3, Path: "a/b", Role: mail.RoleSent, UIDNext: 4}, recent: 2}))
	f.Add(byte(1), appendMailbox(nil, &box{mb: Mailbox{Path: "a", UIDNext: 4}, noted: 1 << 33}))
	f.Add(byte(2), appendFlagSet(nil, &flagSet{system: 3, keywords: []uint16{1, 4, 7}}))
	f.Add(byte(3), appendDead([]byte{formatVersion}, &deads{3, UIDSet{{1, 2}, {7, 7}}, []EmailID{4, 5, 6}, nil, nil}))
	f.Add(byte(3), appendDead([]byte{formatVersion}, &deads{3, UIDSet{{1, 2}, {7, 7}}, []EmailID{4, 5, 6}, []FlagSet{0, 1, 9}, []int64{5, -7, 1 << 40}}))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		switch kind % 6 {
		case 0:
			if h, err := decodeHeader(b); err == nil {
				if again, err := decodeHeader(appendHeader(nil, &h)); err != nil || again != h {
					t.Fatalf("%+v, %+v, %v", h, again, err)
				}
			}
		case 1:
			if m, err := decodeMailbox(1, b); err == nil {
				again, err := decodeMailbox(1, appendMailbox(nil, m))
				if m.mb.Path = lastLevel(m.mb.Path); err != nil || again.mb != m.mb || again.recent != m.recent || again.noted != m.noted {
					t.Fatalf("%+v, %+v, %v", m, again, err)
				}
			}
		case 2:
			if s, err := decodeFlagSet(b, 9); err == nil {
				if again, err := decodeFlagSet(appendFlagSet(nil, &s), 9); err != nil || !again.equal(&s) {
					t.Fatalf("%+v, %+v, %v", s, again, err)
				}
			}
		case 4:
			if len(b) > 40 {
				if a, err := decodeAnnotation(b[:40], b[40:]); err == nil && annotationSize(b[:40], b[40:]) != int64(len(a.Name)+len(a.Value)) {
					t.Fatalf("%+v", a)
				}
				if n, err := decodeNote(b[:40], b[40:]); err == nil && !bytes.Equal(noteKey(n.mailbox, n.uid, n.User, n.Name)[1:], b[1:40]) {
					t.Fatalf("%+v", n)
				}
			}
		case 5:
			if at, err := decodeMark(make([]byte, 8), b); err == nil && at < 0 {
				t.Fatalf("a mark at %d", at)
			}
		case 3:
			decodeDead(b, func(d *deads) {
				n := len(d.emails)
				if d.uids.Len() != n || d.flags != nil && (len(d.flags) != n || len(d.dates) != n) {
					t.Fatal("lengths differ")
				}
				if err := decodeDead(appendDead([]byte{formatVersion}, d), func(again *deads) {
					if !slices.Equal(again.dates, d.dates) || !slices.Equal(again.flags, d.flags) || !slices.Equal(again.uids, d.uids) {
						t.Fatalf("%+v, %+v", d, again)
					}
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// FuzzSmallRecords reads objects, sums of domains, counts of memberships, and keys of the
// index of sharing that say anything.
func FuzzSmallRecords(f *testing.F) {
	f.Add([]byte{keyObject, 1, 'i'}, []byte{formatVersion, 0, '{', '}'})
	f.Add([]byte{keyObject, 2, 'i'}, []byte{formatVersion, objectHasBlob, 0, 0, 0, 0, 0, 1, 0, 7})
	f.Add(append([]byte{sharedWith}, make([]byte, 24)...), appendSum(1<<40))
	f.Add(append([]byte{sharedIn, 'a', '.', 'b', 0}, make([]byte, 16)...), appendSum(-1))
	f.Fuzz(func(t *testing.T, key, b []byte) {
		if o, err := decodeObject(key, b); err == nil && (len(o.ID) != len(key)-2 || len(o.Value) > len(b)-2) {
			t.Fatalf("object %+v of %x, %x", o, key, b)
		} else if err != nil && mail.KindOf(err) != mail.Corrupt {
			t.Fatal(err)
		}
		if n := decodeSum(b); n != -1 && decodeSum(appendSum(n)) != n {
			t.Fatalf("sum %d of %x", n, b)
		}
		x, who, domain, ok := decodeShared(key)
		if ok && (who == Anyone) != (key[0] == sharedIn) && who != 0 || ok && len(domain) > len(key) {
			t.Fatalf("%+v, %d, %q of %x", x, who, domain, key)
		}
	})
}

func TestDeadsCut(t *testing.T) {
	d := deads{mailbox: 1, uids: UIDSet{{1, 3}, {5, 5}, {9, 12}}, emails: []EmailID{1, 2, 3, 4, 5, 6, 7, 8},
		flags: []FlagSet{1, 2, 3, 4, 5, 6, 7, 8}, dates: []int64{1, 2, 3, 4, 5, 6, 7, 8}}
	for n := 1; n <= 9; n++ {
		var got UIDSet
		var emails []EmailID
		for rest := d; len(rest.emails) > 0; {
			var head deads
			head, rest = rest.cut(n)
			if head.uids.Len() != len(head.emails) || len(head.emails) > n || int64(head.emails[0]) != head.dates[0] || int(head.emails[0]) != int(head.flags[0]) {
				t.Fatalf("cut %d: %+v", n, head)
			}
			got = got.Union(head.uids)
			emails = append(emails, head.emails...)
		}
		if !slices.Equal(got, d.uids) || !slices.Equal(emails, d.emails) {
			t.Errorf("cut %d: %v %v", n, got, emails)
		}
	}
}
