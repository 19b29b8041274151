package imap

import (
	"posthouse/imap/wire"
)

// fetchRowItems are made of the mailbox row alone, RFC 9051 §6.4.5.
var fetchRowItems = []fetchItem{
	{name: "UID", write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return appendUint(append(dst, "UID "...), uint64(m.row.UID))
	}},
	{name: "FLAGS", write: func(f *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return f.c.appendFlags(dst, m.snap, m.row)
	}},
	{name: "INTERNALDATE", write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return wire.AppendDateTime(append(dst, "INTERNALDATE "...), m.row.InternalDate)
	}},
	{name: "RFC822.SIZE", write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return appendUint(append(dst, "RFC822.SIZE "...), uint64(m.row.Size))
	}},
}

// fetchRecordItems were made ready when the message was stored.
var fetchRecordItems = []fetchItem{
	{name: "ENVELOPE", need: needRecord, write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return append(append(dst, "ENVELOPE "...), m.email.Envelope...)
	}},
	{name: "BODYSTRUCTURE", need: needRecord, write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return append(append(dst, "BODYSTRUCTURE "...), m.email.BodyStructure...)
	}},
}
