package local

import (
	"slices"
	"sync"
)

// subscribers is a list that is read for each group and seldom changed: a
// change makes a new one.
type subscribers struct {
	mu   sync.Mutex
	list []*subscriber
}

func (s *subscribers) all() []*subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

func (s *subscribers) add(x *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(slices.Clip(s.list), x)
}

func (s *subscribers) remove(x *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(slices.Clone(s.list), func(y *subscriber) bool { return y == x })
}
