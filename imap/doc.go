// Package imap serves IMAP4rev1 (RFC 3501), IMAP4rev2 (RFC 9051) and their
// extensions over a store.
//
// A connection is one goroutine (conn.go). It reads a command with package
// imap/wire, finds its row in the table (command.go), runs it, tells what
// changed meanwhile (selection.go) and answers. Commands run in the order in
// which they arrive; the replies to all that came together leave in one write,
// since nothing is written before the connection has to wait for input.
//
// Each extension is one ext_*.go file; the list is in extension.go. What cuts
// across has one owner: dialect (how messages and mailboxes are spelled),
// selection (what the client knows), output.go (bytes on their way out),
// errors.go (what a failure is called).
//
// Guarantees: an OK that acknowledges a change follows its being durable; no
// EXPUNGE is sent while a client may still hold sequence numbers (RFC 9051
// §7.5.1); a connection costs no more than its Limits; a View of the store is
// never held while something is written to a client.
package imap
