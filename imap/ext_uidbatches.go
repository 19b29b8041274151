package imap

import (
	"posthouse/imap/wire"
	"posthouse/store"
)

// extUIDBatches is UIDBATCHES: ranges of UIDs that cut the mailbox into pieces of
// equal size, the newest first, RFC 10022.
var extUIDBatches = &extension{name: "UIDBATCHES", rfc: "RFC 10022",
	commands: []command{{"UIDBATCHES", stateSelected, tellAll, false, (*conn).uidBatches}},
}

const (
	minBatch    = 500     // messages, the least that a client may ask for
	maxBatchSum = 100_000 // messages in the batches that are asked for by number
)

// uidBatches is UIDBATCHES: the size of a batch, and which of them, counted from 1.
func (c *conn) uidBatches(d *wire.Decoder) error {
	first, last := uint64(1), uint64(1<<32)
	d.SP()
	size := uint64(d.NzNumber())
	picked := d.Try(' ')
	if picked {
		first = uint64(d.NzNumber())
		d.Expect(':')
		last = uint64(d.NzNumber())
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	switch {
	case first > last:
		return &respError{"BAD", "CLIENTBUG", "the range of batches runs backwards"}
	case size < minBatch:
		return no("TOOFEW", "a batch is 500 messages at least")
	case picked && (last-first+1)*size > maxBatchSum:
		return no("TOOMANY", "too many messages in these batches")
	}
	c.say("* UIDBATCHES (TAG ")
	c.out = append(wire.AppendString(c.out, c.tag, false), ')')
	snap := c.sel.snap
	size = min(size, uint64(c.lim.Messages))
	sep := byte(' ')
	for k := first; k <= last; k++ {
		hi := int64(snap.Len()) - int64((k-1)*size) // messages below and in this batch
		if hi <= 0 {
			break
		}
		upper, lower := snap.UID(snap.Len()-1), store.UID(1)
		if k > 1 {
			upper = snap.UID(int(hi)) - 1
		}
		if lo := hi - int64(size); lo > 0 {
			lower = snap.UID(int(lo))
		}
		c.out = appendUint(append(c.out, sep), uint64(upper))
		c.out = appendUint(append(c.out, ':'), uint64(lower))
		sep = ','
	}
	c.say("\r\n")
	return nil
}
