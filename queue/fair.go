package queue

// A fair is what waits for a turn, of several priorities and senders. Higher
// priorities come first, but every eighth turn is for the lowest, so that nothing
// waits for ever; senders of the same priority take turns; what one sender has goes in
// its order.
type fair[T comparable] struct {
	n      int
	turns  uint8
	levels []*level[T] // by falling priority, none empty
}

type level[T comparable] struct {
	priority int8
	ring     []*line[T] // the first is next
	lines    map[uint32]*line[T]
}

type line[T comparable] struct {
	sender uint32
	list   []T
}

// lowTurn is how often the lowest priority has its turn.
const lowTurn = 8

func (f *fair[T]) push(priority int8, sender uint32, v T) {
	f.n++
	at := 0
	for at < len(f.levels) && f.levels[at].priority > priority {
		at++
	}
	if at == len(f.levels) || f.levels[at].priority != priority {
		f.levels = append(f.levels, nil)
		copy(f.levels[at+1:], f.levels[at:])
		f.levels[at] = &level[T]{priority: priority, lines: map[uint32]*line[T]{}}
	}
	lv := f.levels[at]
	ln := lv.lines[sender]
	if ln == nil {
		ln = &line[T]{sender: sender}
		lv.lines[sender] = ln
		lv.ring = append(lv.ring, ln)
	}
	ln.list = append(ln.list, v)
}

// pop takes the next one; f is not empty.
func (f *fair[T]) pop() T {
	f.n--
	at := 0
	if f.turns++; f.turns%lowTurn == 0 {
		at = len(f.levels) - 1
	}
	lv := f.levels[at]
	ln := lv.ring[0]
	v := ln.list[0]
	var none T
	ln.list[0] = none
	ln.list = ln.list[1:]
	lv.ring[0] = nil
	if lv.ring = lv.ring[1:]; len(ln.list) > 0 {
		lv.ring = append(lv.ring, ln)
	} else {
		delete(lv.lines, ln.sender)
	}
	f.dropLevel(at)
	return v
}

func (f *fair[T]) dropLevel(at int) {
	if len(f.levels[at].ring) == 0 {
		f.levels = append(f.levels[:at], f.levels[at+1:]...)
	}
}

// remove takes v out, if it is there.
func (f *fair[T]) remove(v T) {
	for at, lv := range f.levels {
		for r, ln := range lv.ring {
			for i, x := range ln.list {
				if x != v {
					continue
				}
				f.n--
				if ln.list = append(ln.list[:i:i], ln.list[i+1:]...); len(ln.list) == 0 {
					delete(lv.lines, ln.sender)
					lv.ring = append(lv.ring[:r:r], lv.ring[r+1:]...)
				}
				f.dropLevel(at)
				return
			}
		}
	}
}
