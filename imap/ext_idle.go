package imap

import (
	"errors"
	"strings"

	"posthouse/imap/wire"
)

var extIdle = &extension{name: "IDLE", rfc: "RFC 2177",
	commands: []command{{"IDLE", loggedIn, tellAll, false, (*conn).idle}},
}

// idle is IDLE, RFC 2177 §3: changes are told as they happen until the client
// says DONE. A watcher ends the read; it touches nothing else of the connection.
func (c *conn) idle(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	acct := c.acct
	if c.state == stateSelected {
		acct = c.sel.acct
	}
	nc := c.nc
	w := acct.WatchFunc(func() { c.wake(nc) })
	c.srv.stats.idling.Add(1)
	defer func() {
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
		if err := c.tellMetadata(); err != nil {
			return err
		}
		c.rd.Release()
		line, err := c.rd.Line(c.lim.Line, c.lim.Flood)
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
