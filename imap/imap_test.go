package imap

import (
	"testing"
)

func TestTables(t *testing.T) {
	if s := New(Options{}); len(s.tables.commands) < 30 {
		t.Fatal("commands are missing")
	}
}
