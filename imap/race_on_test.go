//go:build race

package imap

// raced says that the race detector is on, which makes stacks and objects larger.
const raced = true
