package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	trimEvery = 30 * time.Second
	// trimFrom is how much memory must be unused before a quiet server gives it back.
	trimFrom = 32 << 20
)

// startTrimming gives memory back to the system when the server has become quiet. By itself
// Go keeps as much again as is in use, which ten thousand connections in IDLE never use,
// and notices garbage only when it allocates more.
func (s *Server) startTrimming(context.Context) error {
	done := make(chan struct{})
	s.onStop("trimming", func(context.Context) error { close(done); return nil })
	s.tasks.Go(func() {
		tick := time.NewTicker(trimEvery)
		defer tick.Stop()
		m := newMeter()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if m.quiet() {
					debug.FreeOSMemory()
					m.trimmed()
				}
			}
		}
	})
	return nil
}

// A meter sees whether memory is worth giving back.
type meter struct {
	samples [4]metrics.Sample
	cycles  uint64 // of the garbage collector, at the last look
	level   uint64 // bytes that were left after the last time
}

func newMeter() *meter {
	m := &meter{}
	for i, name := range []string{"/gc/cycles/automatic:gc-cycles", "/memory/classes/heap/free:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/objects:bytes"} {
		m.samples[i].Name = name
	}
	return m
}

// quiet reports that nothing was collected since the last look, so little is allocated, and
// that there is more than before, or much unused.
func (m *meter) quiet() bool {
	metrics.Read(m.samples[:])
	cycles := m.samples[0].Value.Uint64()
	idle := cycles == m.cycles
	m.cycles = cycles
	return idle && (m.samples[1].Value.Uint64()+m.samples[2].Value.Uint64() > trimFrom || m.inUse() > m.level+trimFrom)
}

func (m *meter) inUse() uint64 { return m.samples[3].Value.Uint64() }

// trimmed notes what is left.
func (m *meter) trimmed() {
	metrics.Read(m.samples[:])
	m.level = m.inUse()
}
