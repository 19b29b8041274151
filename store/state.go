package store

import (
	"slices"
	"sort"
	"sync"
)

// A state is an account at one moment: after one of its transactions. It is
// immutable; a transaction copies what it changes.
type state struct {
	exists bool
	hdr    header
	boxes  []*box // by ascending id
	order  []int  // indexes of boxes by path
	flags  flagTable
	subs   []string // subscribed paths, ordered
	tail   tail
	list   *mailboxList
}

// tail measures the journal since the last checkpoint.
type tail struct{ actions, bytes int }

// A box is a mailbox of a state.
type box struct {
	mb     Mailbox
	recent UID   // first UID not told to any session as \Recent, as far as saved
	lazy   *lazy // its messages
	noted  int64 // bytes of annotations of its messages
	acl    acl
	seen   *seenTable
	dirty  bool // its messages changed since the last checkpoint
	born   ModSeq
	write  bool // the transaction that made this box must write its record
}

// mailboxList is the answer of View.Mailboxes, made when first asked for.
type mailboxList struct {
	once sync.Once
	all  []*Mailbox
}

func (st *state) mailboxes() []*Mailbox {
	st.list.once.Do(func() {
		st.list.all = make([]*Mailbox, len(st.order))
		for i, n := range st.order {
			st.list.all[i] = &st.boxes[n].mb
		}
	})
	return st.list.all
}

// index returns where the mailbox is in boxes.
func (st *state) index(id MailboxID) (int, bool) {
	i := sort.Search(len(st.boxes), func(i int) bool { return st.boxes[i].mb.ID >= id })
	return i, i < len(st.boxes) && st.boxes[i].mb.ID == id
}

func (st *state) box(id MailboxID) *box {
	if i, ok := st.index(id); ok {
		return st.boxes[i]
	}
	return nil
}

// search returns the place of path in order and whether it is there.
func (st *state) search(path string) (int, bool) {
	return slices.BinarySearchFunc(st.order, path, func(n int, p string) int {
		return comparePaths(st.boxes[n].mb.Path, p)
	})
}

func (st *state) boxByPath(path string) *box {
	if i, ok := st.search(path); ok {
		return st.boxes[st.order[i]]
	}
	return nil
}

// reorder makes order anew from the paths.
func (st *state) reorder() {
	st.order = make([]int, len(st.boxes))
	for i := range st.order {
		st.order[i] = i
	}
	slices.SortFunc(st.order, func(a, b int) int {
		return comparePaths(st.boxes[a].mb.Path, st.boxes[b].mb.Path)
	})
}

// below returns the range of order that holds all mailboxes below path.
func (st *state) below(path string) (lo, hi int) {
	lo, found := st.search(path)
	if found {
		lo++
	}
	hi = lo
	for hi < len(st.order) && isBelow(st.boxes[st.order[hi]].mb.Path, path) {
		hi++
	}
	return lo, hi
}

func (st *state) subscribed(path string) bool {
	_, found := slices.BinarySearchFunc(st.subs, path, comparePaths)
	return found
}

// memory estimates what the state holds beside the messages of its mailboxes.
func (st *state) memory() int64 {
	return 3072 + int64(len(st.boxes))*512 + int64(len(st.flags.sets))*64 + int64(st.flags.rendered)
}
