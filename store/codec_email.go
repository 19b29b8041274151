package store

import (
	"encoding/binary"
	"time"

	"posthouse/internal/codec"
	"posthouse/store/engine"
)

const (
	emailAttachment = 1 << iota
	emailSent       // has a date
	emailFindings   // has what its checks said
	emailFields     // has fields of its header
)

// appendEmail encodes an email record; the engine appends the blob's id.
func appendEmail(dst []byte, e *Email) []byte {
	flags := byte(0)
	if e.HasAttachment {
		flags |= emailAttachment
	}
	if !e.Sent.IsZero() {
		flags |= emailSent
	}
	if len(e.findings) > 0 {
		flags |= emailFindings
	}
	if len(e.fields) > 0 {
		flags |= emailFields
	}
	dst = append(dst, formatVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(e.Thread))
	dst = binary.AppendUvarint(dst, uint64(e.Size))
	if flags&emailSent != 0 {
		_, zone := e.Sent.Zone()
		dst = binary.AppendVarint(dst, e.Sent.Unix())
		dst = binary.AppendVarint(dst, int64(zone/60))
	}
	dst = codec.AppendBytes(dst, e.Envelope)
	dst = codec.AppendBytes(dst, e.BodyStructure)
	dst = codec.AppendBytes(dst, e.table)
	dst = codec.AppendBytes(dst, e.Preview)
	dst = codec.AppendBytes(dst, e.Prefix)
	dst = binary.AppendUvarint(dst, uint64(len(e.references)))
	for _, h := range e.references {
		dst = binary.BigEndian.AppendUint64(dst, h)
	}
	if len(e.findings) > 0 {
		dst = codec.AppendBytes(dst, e.findings)
	}
	if len(e.fields) > 0 {
		dst = codec.AppendBytes(dst, e.fields)
	}
	return dst
}

// decodeEmail decodes into e, whose slices then point into v.
func decodeEmail(e *Email, id EmailID, v []byte) error {
	d := openRecord(v)
	flags := d.Byte()
	*e = Email{ID: id, Thread: ThreadID(d.Uvarint()), Size: int64(d.Uvarint()), HasAttachment: flags&emailAttachment != 0,
		references: e.references[:0]}
	if flags&emailSent != 0 {
		at, zone := d.Varint(), d.Varint()
		if zone < -24*60 || zone > 24*60 {
			d.Fail()
		}
		e.Sent = sentTime(at, int(zone))
	}
	e.Envelope = d.own()
	e.BodyStructure = d.own()
	e.table = d.own()
	e.Preview = d.own()
	e.Prefix = d.own()
	for range d.Count(8) {
		e.references = append(e.references, d.Fixed64())
	}
	if flags&emailFindings != 0 {
		e.findings = d.own()
	}
	if flags&emailFields != 0 {
		e.fields = d.own()
	}
	e.blob = engine.BlobID(d.Fixed64())
	return d.err("email")
}

func sentTime(at int64, zone int) time.Time {
	if zone == 0 {
		return time.Unix(at, 0).UTC()
	}
	if i := zone/15 + quarters; zone%15 == 0 && i >= 0 && i < len(zones) {
		return time.Unix(at, 0).In(zones[i])
	}
	return time.Unix(at, 0).In(time.FixedZone("", zone*60))
}

// quarters is the number of quarter hours of the farthest common zone.
const quarters = 14 * 4

// zones are the common zones, made once: a scan needs one for each message.
var zones = makeZones()

func makeZones() (z [2*quarters + 1]*time.Location) {
	for i := range z {
		z[i] = time.FixedZone("", (i-quarters)*15*60)
	}
	return z
}
