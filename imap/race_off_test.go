//go:build !race

package imap

const raced = false
