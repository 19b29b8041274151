package imap

import (
	"posthouse/imap/wire"
	"posthouse/search"
)

// extThreadSubject, extThreadReferences and extThreadRefs are THREAD, RFC 5256 §3.
// REFS is REFERENCES by references alone, newest thread last, as other servers
// have it.
var (
	extThreadSubject = &extension{name: "THREAD=ORDEREDSUBJECT", rfc: "RFC 5256",
		commands: []command{
			{"THREAD", stateSelected, tellNoExpunge, false, (*conn).threadCmd},
			{"UID THREAD", stateSelected, tellAll, true, (*conn).threadCmd},
		},
		threads: []threadAlgorithm{{"ORDEREDSUBJECT", search.OrderedSubject}},
	}
	extThreadReferences = &extension{name: "THREAD=REFERENCES", rfc: "RFC 5256",
		threads: []threadAlgorithm{{"REFERENCES", search.References}}}
	extThreadRefs = &extension{name: "THREAD=REFS", rfc: "RFC 5256",
		threads: []threadAlgorithm{{"REFS", search.Refs}}}
)

// A threadAlgorithm is one way to thread.
type threadAlgorithm struct {
	name string
	by   search.ThreadBy
}

// threadCmd is THREAD and UID THREAD, RFC 5256 §3.
func (c *conn) threadCmd(d *wire.Decoder) error {
	s := &searchCommand{}
	d.SP()
	alg := c.tab.threads[string(d.Word())]
	if alg == nil {
		d.Bad("unknown threading algorithm")
	}
	d.SP()
	c.readCharset(d)
	d.SP()
	key := c.readProgram(d, s)
	err := d.Err()
	if err == nil {
		err = c.findWhole(s, key)
	}
	if err != nil {
		return c.gone(err)
	}
	rows, places := s.matched()
	f, err := search.Thread(c.ctx, c.sel.acct, rows, alg.by, func(done int) error { return c.progress(done, len(rows)) })
	if err != nil {
		return err
	}
	c.say("* THREAD")
	if len(f.Roots) > 0 {
		c.say(" ")
	}
	w := threadWriter{c: c, s: s, f: f, places: places}
	if err := w.write(); err != nil {
		return err
	}
	c.say("\r\n")
	return nil
}

// A threadWriter writes threads, RFC 5256 §4. Threads may be as deep as there are
// messages, so it keeps its own stack.
type threadWriter struct {
	c      *conn
	s      *searchCommand
	f      *search.Forest
	places []int32
	stack  []siblings
}

// siblings are sub-threads that are left to write.
type siblings []int32

func (w *threadWriter) write() error {
	w.stack = append(w.stack, w.f.Roots)
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		if len(*top) == 0 {
			if w.stack = w.stack[:len(w.stack)-1]; len(w.stack) > 0 {
				w.c.out = append(w.c.out, ')')
			}
			continue
		}
		n := (*top)[0]
		*top = (*top)[1:]
		w.chain(n)
		if err := w.c.drain(); err != nil {
			return err
		}
	}
	return nil
}

// chain writes a message and what follows it until that splits.
func (w *threadWriter) chain(n int32) {
	dst := append(w.c.out, '(')
	if m := w.f.Message(n); m >= 0 {
		dst = appendUint(dst, w.s.number(w.c, int(w.places[m])))
		kids := w.f.Children(n)
		for len(kids) == 1 {
			dst = appendUint(append(dst, ' '), w.s.number(w.c, int(w.places[w.f.Message(kids[0])])))
			kids = w.f.Children(kids[0])
		}
		if n = -1; len(kids) > 1 {
			w.c.out = append(dst, ' ')
			w.stack = append(w.stack, kids)
			return
		}
	}
	if n >= 0 { // a dummy: its children alone
		w.c.out = dst
		w.stack = append(w.stack, w.f.Children(n))
		return
	}
	w.c.out = append(dst, ')')
}
