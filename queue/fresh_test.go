package queue

import (
	"reflect"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// freshHouse commits n entries in an engine, and returns the batch.
func freshHouse(t testing.TB, e engine.Engine, n int) (*Queue, *engine.Batch) {
	t.Helper()
	q, err := Open(t.Context(), Options{Engine: e, Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	b := &engine.Batch{Expect: engine.AnyVersion}
	for range n {
		env := mail.Envelope{TraceID: "abc", Recipients: []mail.Recipient{{Address: mail.Address{Local: "a", Domain: "b.test"}, Notify: mail.NotifyFailure}}}
		one, err := q.Prepare(env, Message{Prefix: []byte("Received: here\r\n"), Blob: &engine.Blob{Bytes: []byte("text\r\n")}, Size: 6})
		if err != nil {
			t.Fatal(err)
		}
		b.Ops = append(b.Ops, one.Ops...)
	}
	if _, err := e.Commit(t.Context(), b).Wait(); err != nil {
		t.Fatal(err)
	}
	q.Wake(b)
	return q, b
}

// What is held of new entries is what the engine has; it is held until somebody loads it,
// of so many entries and no more.
func TestFresh(t *testing.T) {
	e := mem.New()
	t.Cleanup(func() { e.Close() })
	q, b := freshHouse(t, e, 3)
	t.Cleanup(func() { q.Close(t.Context()) })
	for i := 0; i < len(b.Ops); i += 2 {
		it := q.items[idOf(b.Ops[i].Key)]
		if q.fresh[it.id] == nil {
			t.Fatal("nothing is held of a new entry")
		}
		held, err := q.load(it)
		if err != nil || q.fresh[it.id] != nil {
			t.Fatalf("%v; still held: %v", err, q.fresh[it.id] != nil)
		}
		read, err := q.load(it)
		if err != nil || held.rec.blob == 0 || !reflect.DeepEqual(held.rec, read.rec) || !reflect.DeepEqual(held.st, read.st) || held.kept || read.kept {
			t.Errorf("held %+v %+v\nread %+v %+v, %v", held.rec, held.st, read.rec, read.st, err)
		}
	}
	for i := range 3 * maxFresh {
		q.fresh.put(ID(i), &engine.Op{Key: keyOf('m', ID(i)), Val: []byte{recordVersion}, Blob: &engine.Blob{ID: 1}})
		if n := len(q.fresh); n > maxFresh || q.fresh[ID(i)] == nil {
			t.Fatalf("%d held after %d", n, i)
		}
	}
	clear(q.fresh)
	for _, op := range []engine.Op{
		{Key: keyOf('m', 1), Val: []byte{recordVersion}},                                    // no content
		{Key: keyOf('m', 1), Val: []byte{recordVersion}, Blob: &engine.Blob{}},              // not committed
		{Key: keyOf('m', 2), Val: []byte{recordVersion}, Blob: &engine.Blob{ID: 1}},         // another entry
		{Key: keyOf('s', 1), Val: []byte{recordVersion}, Blob: &engine.Blob{ID: 1}},         // something else
		{Key: keyOf('m', 1), Val: make([]byte, maxFreshBytes+1), Blob: &engine.Blob{ID: 1}}, // large
	} {
		if q.fresh.put(1, &op); len(q.fresh) > 0 {
			t.Errorf("held: %+v", op)
		}
	}
}

// BenchmarkLoad is the cost of loading an entry that is attempted at once, and of one that
// is looked for in the engine.
func BenchmarkLoad(b *testing.B) {
	e, err := openLocal(b)
	if err != nil {
		b.Fatal(err)
	}
	q, batch := freshHouse(b, e, 900)
	b.Cleanup(func() { q.Close(b.Context()) })
	for _, held := range []bool{false, true} {
		b.Run(map[bool]string{false: "engine", true: "held"}[held], func(b *testing.B) {
			b.ReportAllocs()
			clear(q.fresh)
			for i := 0; b.Loop(); i++ {
				op := &batch.Ops[i*2%len(batch.Ops)]
				id := idOf(op.Key)
				if held {
					q.fresh.put(id, op)
				}
				if _, err := q.load(q.items[id]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func openLocal(b *testing.B) (engine.Engine, error) {
	e, err := local.Open(b.Context(), local.Options{Dir: b.TempDir(), MinFree: -1})
	if err == nil {
		b.Cleanup(func() { e.Close() })
	}
	return e, err
}
