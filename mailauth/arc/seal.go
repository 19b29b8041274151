package arc

import (
	"errors"
	"strconv"
	"time"

	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
)

// ErrFull says that the chain can take no more: it has 50 instances, or was sealed as
// broken.
var ErrFull = errors.New("arc: the chain cannot grow")

// AppendSet appends the three fields of the next instance, in the order in which they
// stand above the message (RFC 8617 §5.1). r is the outcome of Validate for the same
// message, m was made for signing, prefix are header lines that will stand before it
// and below the set. ErrFull is no fault: the message goes on as it is.
func (r Result) AppendSet(dst, prefix []byte, m *dkim.Message, results authres.Results, key dkim.SigningKey, now time.Time) ([]byte, error) {
	n := r.instances + 1
	if n > maxInstances || r.over || m.TooLong() {
		return dst, ErrFull
	}
	aar := append([]byte("ARC-Authentication-Results: i="), strconv.Itoa(n)...)
	aar = append(append(aar, "; "...), results.Server...)
	for _, c := range results.Clauses {
		aar = c.AppendTo(append(aar, ";\r\n\t"...))
	}
	if len(results.Clauses) == 0 {
		aar = append(aar, "; none"...)
	}
	aar = append(aar, "\r\n"...)
	ams, err := m.AppendARC(nil, prefix, n, key, now)
	if err != nil {
		return dst, err
	}
	var sets []byte
	if r.Status != Fail { // else the seal covers its own set only, RFC 8617 §5.1.2
		sets = append(sets, r.sets...)
	}
	for _, text := range [][]byte{aar, ams} {
		for _, f := range dkim.Split(text) {
			sets = append(dkim.AppendRelaxed(sets, f), "\r\n"...)
		}
	}
	chain := r.Status.String()
	start := len(dst)
	if dst, err = dkim.AppendSeal(dst, sets, n, chain, key, now); err != nil {
		return dst[:start], err
	}
	return append(append(dst, ams...), aar...), nil
}
