package imap

import "time"

// extInProgress is INPROGRESS: a long command says how far it is, RFC 9585 §4.
var extInProgress = &extension{name: "INPROGRESS", rfc: "RFC 9585"}

// progress says that done of all messages were looked at, if it was silent for
// long enough.
func (c *conn) progress(done, all int) error {
	if done >= all || time.Since(c.spoken) < c.lim.ProgressTime {
		return nil
	}
	c.spoken = time.Now()
	c.say(`* OK [INPROGRESS ("`, c.tag, `" `) // a tag holds no quotes and no backslash
	c.out = append(appendUint(append(appendUint(c.out, uint64(done)), ' '), uint64(all)), ")] still looking\r\n"...)
	err := c.flush()
	c.ready()
	return err
}
