// Package e2e proves the whole server: the real binary, driven over its ports by
// real clients (swaks, mbsync, offlineimap, neomutt, Postfix) and by a ledger of
// acknowledged operations that survives kill -9. It holds tests only.
package e2e
