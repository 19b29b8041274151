package store

import (
	"encoding/binary"

	"posthouse/internal/codec"
	"posthouse/mail"
)

// A header is the record of the account itself.
type header struct {
	modseq       ModSeq    // of the last transaction: also the number of transactions
	nextEmail    EmailID   // not given yet
	nextMailbox  MailboxID // not given yet
	lastValidity uint32    // highest UIDVALIDITY ever given
	bytes        int64     // sum over mailboxes
	messages     int64     // sum over mailboxes
	quota        Quota
	floor        ModSeq // journal records at or below it are gone
	checkpoint   ModSeq // chunks hold everything up to it
	created      int64  // Unix seconds

	annotations int64 // bytes of all annotations
	marked      int64 // Unix seconds of the newest mark in the log; 0: none
	domain      string

	blocks  bool   // memberships of many messages are in records r and w
	counted bool   // bytes and messages count each message once, not once a mailbox
	multi   int64  // messages with several memberships
	swept   ModSeq // when numbers of flags were last freed; 0: never
}

// headerBlocks is the version of the record of an account with records r and w: a
// program that does not know them must not touch it.
const headerBlocks = 2

func appendHeader(dst []byte, h *header) []byte {
	if h.blocks {
		dst = append(dst, headerBlocks)
	} else {
		dst = append(dst, formatVersion)
	}
	for _, n := range [...]uint64{uint64(h.modseq), uint64(h.nextEmail), uint64(h.nextMailbox),
		uint64(h.lastValidity), uint64(h.bytes), uint64(h.messages), uint64(h.quota.Bytes),
		uint64(h.floor), uint64(h.checkpoint), uint64(h.created),
		uint64(h.quota.Messages), uint64(h.quota.Mailboxes), uint64(h.annotations), uint64(h.marked)} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = codec.AppendBytes(dst, h.domain)
	if !h.counted {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(h.multi))
	if h.swept == 0 {
		return dst
	}
	return binary.AppendUvarint(dst, uint64(h.swept))
}

func decodeHeader(b []byte) (header, error) {
	d := decoder{codec.Decode(b)}
	version := d.Byte()
	if version != formatVersion && version != headerBlocks {
		d.Fail()
	}
	h := header{
		blocks:       version == headerBlocks,
		modseq:       ModSeq(d.Uvarint()),
		nextEmail:    EmailID(d.Uvarint()),
		nextMailbox:  MailboxID(d.Uvarint()),
		lastValidity: d.Uint32(),
		bytes:        int64(d.Uvarint()),
		messages:     int64(d.Uvarint()),
		quota:        Quota{Bytes: int64(d.Uvarint())},
		floor:        ModSeq(d.Uvarint()),
		checkpoint:   ModSeq(d.Uvarint()),
		created:      int64(d.Uvarint()),
	}
	if d.Len() > 0 { // records of the first version end here
		h.quota.Messages, h.quota.Mailboxes = int64(d.Uvarint()), int64(d.Uvarint())
		h.annotations, h.marked = int64(d.Uvarint()), int64(d.Uvarint())
		h.domain = string(d.Bytes())
	}
	if d.Len() > 0 {
		h.counted, h.multi = true, int64(d.Uvarint())
	}
	if d.Len() > 0 {
		h.swept = ModSeq(d.Uvarint())
	}
	return h, d.err("account")
}

const boxNoSelect = 1

// appendMailbox encodes a mailbox with the last level of its path: the levels
// above are known by Parent.
func appendMailbox(dst []byte, b *box) []byte {
	m := &b.mb
	flags := byte(0)
	if m.NoSelect {
		flags |= boxNoSelect
	}
	dst = append(dst, formatVersion, flags)
	for _, n := range [...]uint64{uint64(m.Parent), uint64(m.UIDValidity), uint64(m.UIDNext),
		uint64(m.HighestModSeq), uint64(m.Messages), uint64(m.Unseen), uint64(m.Deleted),
		uint64(m.Bytes), uint64(m.DeletedBytes), uint64(b.recent)} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = codec.AppendBytes(dst, string(m.Role))
	dst = codec.AppendBytes(dst, lastLevel(m.Path))
	if b.noted == 0 {
		return dst
	}
	return binary.AppendUvarint(dst, uint64(b.noted))
}

// decodeMailbox returns a mailbox with its own level as its path.
func decodeMailbox(id MailboxID, v []byte) (*box, error) {
	d := openRecord(v)
	flags := d.Byte()
	b := &box{mb: Mailbox{
		ID:            id,
		NoSelect:      flags&boxNoSelect != 0,
		Parent:        MailboxID(d.Uvarint()),
		UIDValidity:   d.Uint32(),
		UIDNext:       UID(d.Uint32()),
		HighestModSeq: ModSeq(d.Uvarint()),
		Messages:      d.Uint32(),
		Unseen:        d.Uint32(),
		Deleted:       d.Uint32(),
		Bytes:         int64(d.Uvarint()),
		DeletedBytes:  int64(d.Uvarint()),
	}}
	b.recent = UID(d.Uint32())
	b.mb.Role = mail.Role(d.Bytes())
	b.mb.Path = string(d.Bytes())
	if d.Len() > 0 {
		b.noted = int64(d.Uvarint())
	}
	return b, d.err("mailbox")
}

func appendFlagSet(dst []byte, s *flagSet) []byte {
	dst = append(dst, formatVersion, s.system)
	dst = binary.AppendUvarint(dst, uint64(len(s.keywords)))
	for _, k := range s.keywords {
		dst = binary.AppendUvarint(dst, uint64(k))
	}
	return dst
}

// decodeFlagSet decodes a flag set of an account with the given number of keywords.
func decodeFlagSet(v []byte, keywords int) (flagSet, error) {
	d := openRecord(v)
	s := flagSet{system: d.Byte()}
	n := d.Count(1)
	for range n {
		k := d.Uvarint()
		if k >= uint64(keywords) || len(s.keywords) > 0 && uint16(k) <= s.keywords[len(s.keywords)-1] {
			d.Fail()
			break
		}
		s.keywords = append(s.keywords, uint16(k))
	}
	return s, d.err("flag set")
}
