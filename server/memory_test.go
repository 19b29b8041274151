package server

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Memory that grew is looked at when it is quiet; what was given back is left alone.
func TestMeter(t *testing.T) {
	debug.FreeOSMemory()
	m := newMeter()
	m.trimmed()
	grown := make([]byte, 4*trimFrom)
	for i := 0; i < len(grown); i += 4096 {
		grown[i] = 1
	}
	eventually(t, "memory that grew is no reason", m.quiet)
	runtime.KeepAlive(grown)
	grown = nil
	debug.FreeOSMemory()
	m.trimmed()
	eventually(t, "there is always something to give", func() bool { return !m.quiet() })
}

func eventually(t *testing.T, otherwise string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ready(); time.Sleep(time.Millisecond) { // polling, bounded
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}
