package store

import "sync"

// A Watcher tells that an account changed.
type Watcher struct {
	acct *account
	c    chan struct{}
	f    func() // instead of c
	once sync.Once
}

// Watch returns a watcher that is woken after each update from now on.
func (a *account) Watch() *Watcher {
	w := &Watcher{acct: a, c: make(chan struct{}, 1)}
	w.begin()
	return w
}

// WatchFunc returns a watcher that calls f after each update from now on, where the
// update ends: f must return at once and not use the store. It is not called once Close
// has returned. It takes no goroutine.
func (a *account) WatchFunc(f func()) *Watcher {
	w := &Watcher{acct: a, f: f}
	w.begin()
	return w
}

func (w *Watcher) begin() {
	a := w.acct
	a.pub.Lock()
	defer a.pub.Unlock()
	if a.watchers == nil {
		a.watchers = map[*Watcher]struct{}{}
	}
	a.watchers[w] = struct{}{}
}

// C receives after one or more updates became visible; wake-ups coalesce. It is
// closed by Close and when the store closes.
func (w *Watcher) C() <-chan struct{} { return w.c }

// Close ends the watch.
func (w *Watcher) Close() {
	w.acct.pub.Lock()
	defer w.acct.pub.Unlock()
	w.endLocked()
}

// endLocked needs Account.pub, which keeps it apart from wake.
func (w *Watcher) endLocked() {
	w.once.Do(func() {
		delete(w.acct.watchers, w)
		if w.c != nil {
			close(w.c)
		}
	})
}

func (w *Watcher) wake() {
	if w.f != nil {
		w.f()
		return
	}
	select {
	case w.c <- struct{}{}:
	default:
	}
}

func (a *account) endWatches() {
	a.pub.Lock()
	defer a.pub.Unlock()
	for w := range a.watchers {
		w.endLocked()
	}
}
