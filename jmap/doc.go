// Package jmap serves JMAP: Core (RFC 8620) and Mail (RFC 8621) with submission,
// vacation, quota (RFC 9425), blobs (RFC 9404), MDN (RFC 9007), WebSocket (RFC 8887)
// and Web Push (RFC 8030, 8291, 8292), and a vendor capability for what these lack
// (docs/jmap.md).
//
// Every type is a table of properties ([objectType]) and every method a row of a
// table ([method]); /get, /changes, /query, /queryChanges and /set are one machinery
// over them. From the same tables come the types of the web client.
//
// A state is a position of the account's log (store.LogPos). It is the state of
// every type of the account: "the same state" means that nothing of that type
// changed since. Changes are told from the log, also of queries with collapsed
// threads; what an account keeps in memory for this ([index]) follows the log.
//
// Guarantees:
//
//   - A response that says "created", "updated" or "destroyed" means: on stable
//     storage. One record of a /set happens as a whole or not at all.
//   - Ids of mailboxes, emails and threads are those that IMAP shows (RFC 8474).
//   - What comes back in a state is at least as new as the state says.
//   - A request costs no more than its limits: size, depth, values, calls, objects.
//   - A browser's session is a durable record that can be taken back; other sites
//     cannot use it.
//
// Locks: those of an [index] and of the tables of open streams are leaves. None is
// held while a client is written to.
package jmap
