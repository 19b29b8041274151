package main

import (
	"strings"
	"testing"

	"posthouse/admin"
)

func TestZoneLine(t *testing.T) {
	for _, tt := range []struct {
		record admin.Record
		want   string
	}{
		{admin.Record{Name: "a.example", Type: "MX", Value: "10 mx.example"}, "a.example. IN MX 10 mx.example."},
		{admin.Record{Name: "a.example", Type: "TXT", Value: "v=x; y"}, `a.example. IN TXT "v=x; y"`},
		{admin.Record{Name: "a.example", Type: "TXT", Value: strings.Repeat("k", 300)}, `a.example. IN TXT "` + strings.Repeat("k", 255) + `" "` + strings.Repeat("k", 45) + `"`},
	} {
		if got := zoneLine(tt.record); got != tt.want {
			t.Errorf("%v: %q", tt.record, got)
		}
	}
}
