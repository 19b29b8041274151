package imap

import (
	"errors"
	"net"
	"strings"

	"posthouse/imap/wire"
	"posthouse/store"
)

var extIdle = &extension{name: "IDLE", rfc: "RFC 2177",
	commands: []command{{"IDLE", loggedIn, tellAll, false, (*conn).idle}},
}

// idle is IDLE, RFC 2177 §3: changes are told as they happen until the client
// says DONE. A goroutine turns the watcher's channel into an end of the read; it
// touches nothing else of the connection.
func (c *conn) idle(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	w := c.acct.Watch()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go c.watch(w, c.nc, stop, stopped)
	c.srv.stats.idling.Add(1)
	defer func() {
		close(stop)
		<-stopped
		w.Close()
		c.idling = false
		c.woken.Store(false)
		c.srv.stats.idling.Add(-1)
	}()
	c.say("+ idling\r\n")
	c.idling = true
	for {
		if err := c.sync(tellAll); err != nil {
			return err
		}
		if err := c.tellOthers(); err != nil {
			return err
		}
		c.rd.Release()
		line, err := c.rd.Line(c.srv.opts.Limits.Line, c.srv.opts.Limits.Flood)
		switch {
		case errors.Is(err, errWoken):
			continue
		case err != nil:
			return err
		case strings.EqualFold(string(line), "DONE"):
			return nil
		}
		return bad("expected DONE")
	}
}

// watch wakes the connection for each change until stop is closed.
func (c *conn) watch(w *store.Watcher, nc net.Conn, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	for {
		select {
		case <-w.C():
			c.wake(nc)
		case <-stop:
			return
		}
	}
}
