// Package message reads and writes Internet messages: RFC 5322 headers and MIME
// (RFC 2045 to 2049, RFC 2231, RFC 6532), and says what IMAP wants to know about them.
//
// A [Parser] takes the bytes as they arrive, in chunks of any size, and goes
// over them once. It records for every part where its header and body lie, so
// that any section of the message is later one read from the store, and never
// another parse. It does not fail: what cannot be understood is text, what is
// cut off ends where the bytes end, and what exceeds a limit of [Limits] is
// opaque. The result does not depend on how the bytes were cut into chunks.
//
// A [Message] is immutable after Close and may be read by several goroutines,
// except that Shift changes it. Its part table travels in a store's record
// through AppendTable and ParseTable; the header fields of the message itself
// (envelope, subject, thread keys, preview) are known only after parsing, and
// the store keeps what it needs of them beside the table.
//
// The package does no I/O except through readers given to it, keeps no state
// between messages, and takes time and randomness from parameters.
package message

// Limits bound what a message can cost. A zero field means its default, a
// negative one no limit (but Depth, which is never over 10,000). What lies
// beyond a limit stays part of the message and of its sections; it is only not
// looked into.
type Limits struct {
	Depth       int // nested parts; 100, as Dovecot
	Parts       int // parts in all; 10,000, as Dovecot
	HeaderBytes int // of one header section that are interpreted; 1 MB
	HeaderLines int // of one header section that are interpreted; 10,000
	FieldBytes  int // of one header field that go into an index; 256 kB
	Addresses   int // kept of one address field; 1,000
	Params      int // of one Content-Type or Content-Disposition; 128
	Boundary    int // bytes of a multipart boundary; 1,000 (RFC 2046 allows 70)
	References  int // message-ids kept as thread keys; 100
	Memory      int // bytes kept of the headers of all parts; 4 MB
}

const (
	defaultDepth       = 100
	defaultParts       = 10_000
	defaultHeaderBytes = 1 << 20
	defaultHeaderLines = 10_000
	defaultFieldBytes  = 256 << 10
	defaultAddresses   = 1_000
	defaultParams      = 128
	defaultBoundary    = 1_000
	defaultReferences  = 100
	defaultMemory      = 4 << 20

	maxDepth = 10_000 // structures are written by recursion: deeper would cost too much stack
	noLimit  = 1<<31 - 1
)

// withDefaults replaces zero and negative fields by what they stand for.
func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		v   *int
		def int
	}{
		{&l.Depth, defaultDepth}, {&l.Parts, defaultParts}, {&l.HeaderBytes, defaultHeaderBytes},
		{&l.HeaderLines, defaultHeaderLines}, {&l.FieldBytes, defaultFieldBytes},
		{&l.Addresses, defaultAddresses}, {&l.Params, defaultParams}, {&l.Boundary, defaultBoundary},
		{&l.References, defaultReferences}, {&l.Memory, defaultMemory},
	} {
		switch {
		case *f.v == 0:
			*f.v = f.def
		case *f.v < 0:
			*f.v = noLimit
		}
	}
	l.Depth = min(l.Depth, maxDepth)
	return l
}
