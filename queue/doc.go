// Package queue holds mail that waits for another server, and sends it.
//
// # States
//
// An entry is one message for the recipients that share a destination: a domain,
// or the host of a route. A message for three domains is three entries of one
// commit, which share the bytes and nothing else. Keys are in account 0, ID and
// times 8 bytes big-endian:
//
//	qm ID        the message: envelope, header prefix, size; owns the blob; never changed
//	qs ID        the state: attempts, and for each recipient its status and last reply
//	qd time ID   the next attempt; the value is size and destination
//	qx FROM TO   an address to which accounts of a domain do not write: see Suppression
//
//	state      qm  qs    qd      means
//	S0 absent  -   -     -       not queued, or all is done and reported
//	S1 new     yes -     time    accepted; no attempt has been recorded
//	S2 waiting yes yes   time    attempted; some recipients wait, or a DSN is owed
//	S3 held    yes maybe never   as S1 or S2, but the operator keeps it: time is the last one there is
//
// What moves an entry, and whether a result may be missing afterwards (no: never):
//
//	accepted         S0 -> S1       Add, or the batch of Prepare with its commit
//	FUTURERELEASE    S0 -> S1       the same with a later time
//	attempt          S1, S2 -> S2   some wait: state, new time
//	attempt          S1, S2 -> S0   all is decided and told
//	expiry, BY;R     S1, S2 -> S0   with the DSN
//	Bounce           any -> S0      with the DSN
//	Drop             any -> S0      nobody is told: the operator said so
//	Hold             S1, S2 -> S3
//	Release          S3 -> S2       time is now
//	Retry            any -> S2      time is now
//	Reroute          any, stays     the destination in qs and qd, time is now unless held
//	SetExpiry        any, stays     until in qs, time not after it
//
// Each change is one commit: S0 to S1 together with all that Accept stores for the
// same message; S1, S2 to S2 or S0 together with the DSN that tells of it. There are
// no other states on disk, so there is nothing to repair after a crash.
//
// # Guarantees
//
//   - What was committed is in the queue until for each recipient either a server
//     has answered 2xx to the end of the data, or its failure was reported to the
//     sender, by the commit that removes it.
//   - A recipient's result is committed before anything else is tried for it. Only
//     an answer to the final dot that was not read or not committed (a crash between
//     the two) makes a server see a message again.
//   - While results cannot be committed (a full disk), no new attempt begins.
//   - Bounces do not breed: a failed message with the null reverse-path is logged,
//     counted and dropped. It is a report about mail whose sender cannot be reached.
//   - Memory is bounded by Limits: about 200 bytes for each entry, no contents.
//
// # In memory
//
// Open reads the qd keys. An entry then is waiting (in a heap by time), ready (in
// the list of a site), active (an attempt or an operator's change is under way;
// exactly one goroutine owns it) or held. A site is the servers of one provider, as the
// domain of the first MX tells; before it is known, each destination is one. What a
// receiver allows it allows a site: workers belong to it, at most PerDestination, as
// many as its window allows, which grows with success and shrinks with 421 and its like
// (see throttles); then transactions are paced, and the site rests. A worker keeps its
// connection from message to message. In a site senders take turns, urgent mail first.
// A destination that took no connection is left alone for a while: what becomes due
// then counts as attempted, with the failure that is known.
//
// Queue.mu guards the memory; nothing is locked and no I/O done under it.
package queue
