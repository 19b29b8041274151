// Package mail is the vocabulary of Posthouse: types only, no I/O, the standard
// library only. Every package may import it and it imports none of ours.
package mail

// AccountID names an account for ever; it is never reused. 0 is no account.
type AccountID uint64
