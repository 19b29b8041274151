// Package message parses mail. (Placeholder until the parser lands: delete this file then.)
package message

// Message is a parsed message.
type Message struct{}
