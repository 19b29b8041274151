// Package arc validates and makes the Authenticated Received Chain, RFC 8617: what
// each server that handed a message on had found out about it, sealed, so that a
// forwarder's changes need not cost a message its good name.
//
// A chain proves only who says so. Whether a sealer is believed is for the caller to
// decide: see [Result.Trusted]. The package does no I/O but through the keys' resolver.
package arc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"strconv"
	"strings"
	"sync"

	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
)

// A Status is the state of a chain, RFC 8617 §4.4.
type Status uint8

// The states.
const (
	None Status = iota // there is no chain
	Pass
	Fail // for good, RFC 8617 §5.2.1
)

func (s Status) String() string { return [...]string{"none", "pass", "fail"}[s] }

// A Seal is what one server said.
type Seal struct {
	Domain  string          // d= of its seal
	Results authres.Results // of its ARC-Authentication-Results, empty if they cannot be read
}

// A Result is the outcome.
type Result struct {
	Status Status
	Reason string
	Seals  []Seal // by instance, oldest first; of Pass

	instances int    // the highest one seen
	sets      []byte // canonical, for the next seal
	from      bool   // the newest ARC-Message-Signature covers From
	over      bool   // it was sealed as broken: nobody adds to it
}

var (
	errInstance = errors.New("an ARC field has no proper instance")
	errSets     = errors.New("ARC fields are missing or there twice")
	errChain    = errors.New("cv= does not fit the place in the chain")
	errSaysFail = errors.New("the last sealer found the chain broken")
	errMessage  = errors.New("ARC-Message-Signature: ")
	errSeal     = errors.New("ARC-Seal of instance ")
)

// maxInstances is the longest chain, RFC 8617 §4.2.1.
const maxInstances = 50

// A set is the three fields of one instance.
type set struct {
	results, message, seal dkim.Field
	have                   [3]bool
	sealed                 *dkim.Signature
}

// Validate judges the chain of a finished message, RFC 8617 §5.2.
func Validate(ctx context.Context, m *dkim.Message, keys *dkim.Keys) Result {
	if m.TooLong() {
		return Result{Status: Fail, Reason: "the header is too long"}
	}
	sets, err := collect(m.Fields())
	if err == nil && len(sets) == 0 {
		return Result{}
	}
	res := Result{Status: Fail, instances: len(sets)}
	if err == nil {
		err = structure(sets)
	}
	if err != nil {
		res.Reason, res.over = err.Error(), errors.Is(err, errSaysFail)
		return res
	}
	sig, ams := m.VerifyARC(ctx, keys)
	if sig == nil || sig.Instance != len(sets) || ams.Status != dkim.Pass {
		if res.Reason = errMessage.Error() + ams.Reason; sig == nil {
			res.Reason += "it cannot be read"
		}
	} else {
		res.from = sig.Covers("From")
		res.Reason = verifySeals(ctx, sets, keys)
	}
	for i := range sets {
		res.sets = sets[i].appendTo(res.sets)
	}
	if res.Reason != "" {
		return res
	}
	res.Status = Pass
	for i := range sets {
		_, rest, _ := bytes.Cut(sets[i].results.Value(), []byte{';'})
		results, err := authres.Parse(rest)
		if err != nil {
			results = authres.Results{}
		}
		res.Seals = append(res.Seals, Seal{sets[i].sealed.Domain, results})
	}
	return res
}

// collect sorts the fields into sets without a gap.
func collect(fields []dkim.Field) ([]set, error) {
	var sets []set
	for _, f := range fields {
		if len(f.Name()) < 8 || !bytes.EqualFold(f.Name()[:4], []byte("ARC-")) {
			continue
		}
		var n, which int
		var sealed *dkim.Signature
		switch {
		case f.Named("ARC-Authentication-Results"):
			n = resultsInstance(f.Value())
		case f.Named("ARC-Message-Signature"):
			s := dkim.ParseARC(f)
			if s.Err() != nil {
				return make([]set, s.Instance), errors.New(errMessage.Error() + s.Err().Error())
			}
			n, which = s.Instance, 1
		case f.Named("ARC-Seal"):
			if sealed = dkim.ParseSeal(f); sealed.Err() != nil {
				return make([]set, sealed.Instance), errors.New("ARC-Seal: " + sealed.Err().Error())
			}
			n, which = sealed.Instance, 2
		default:
			continue
		}
		if n < 1 || n > maxInstances {
			return make([]set, 1), errInstance
		}
		for len(sets) < n {
			sets = append(sets, set{})
		}
		s := &sets[n-1]
		if s.have[which] {
			return sets, errSets
		}
		s.have[which] = true
		*[...]*dkim.Field{&s.results, &s.message, &s.seal}[which] = f
		if sealed != nil {
			s.sealed = sealed
		}
	}
	return sets, nil
}

// resultsInstance is the instance with which ARC-Authentication-Results begin, or 0.
func resultsInstance(v []byte) int {
	first, _, ok := bytes.Cut(v, []byte{';'})
	name, number, ok2 := bytes.Cut(first, []byte{'='})
	if !ok || !ok2 || string(bytes.Trim(name, " \t\r\n")) != "i" {
		return 0
	}
	n, err := strconv.ParseUint(string(bytes.Trim(number, " \t\r\n")), 10, 8)
	if err != nil {
		return 0
	}
	return int(n)
}

// structure checks the sets, and their cv= (RFC 8617 §5.2, steps 2 and 3).
func structure(sets []set) error {
	for _, s := range sets {
		if s.have != [3]bool{true, true, true} {
			return errSets
		}
	}
	if sets[len(sets)-1].sealed.Chain == "fail" {
		return errSaysFail
	}
	for i, s := range sets {
		want := "pass"
		if i == 0 {
			want = "none"
		}
		if !strings.EqualFold(s.sealed.Chain, want) {
			return errChain
		}
	}
	return nil
}

// verifySeals checks all seals, each over the sets before it and its own. It says
// what is wrong with the newest broken one.
func verifySeals(ctx context.Context, sets []set, keys *dkim.Keys) string {
	reasons := make([]string, len(sets))
	running := sha256.New()
	var wg sync.WaitGroup
	for i := range sets {
		s := &sets[i]
		own := dkim.AppendRelaxed(nil, s.sealed.WithoutB())
		b := s.appendBefore(nil)
		h, err := running.(hash.Cloner).Clone()
		if err != nil {
			return err.Error()
		}
		h.Write(b)
		h.Write(own)
		digest := h.Sum(nil)
		running.Write(s.appendTo(nil))
		wg.Go(func() {
			if r := keys.VerifySeal(ctx, s.sealed, digest); r.Status != dkim.Pass {
				reasons[i] = errSeal.Error() + strconv.Itoa(i+1) + ": " + r.Reason
			}
		})
	}
	wg.Wait()
	for i := len(reasons) - 1; i >= 0; i-- {
		if reasons[i] != "" {
			return reasons[i]
		}
	}
	return ""
}

// appendBefore appends the canonical fields that stand before the seal.
func (s *set) appendBefore(dst []byte) []byte {
	dst = append(dkim.AppendRelaxed(dst, s.results), "\r\n"...)
	return append(dkim.AppendRelaxed(dst, s.message), "\r\n"...)
}

func (s *set) appendTo(dst []byte) []byte {
	return append(dkim.AppendRelaxed(s.appendBefore(dst), s.seal), "\r\n"...)
}

// Trusted looks for a sealer that the caller believes and that found the message
// right, with nobody after it whom the caller does not believe. It returns the
// domain of that sealer.
func (r Result) Trusted(believed func(domain string) bool, right func(authres.Results) bool) (string, bool) {
	if r.Status != Pass || !r.from {
		return "", false
	}
	for i := len(r.Seals) - 1; i >= 0 && believed(r.Seals[i].Domain); i-- {
		if right(r.Seals[i].Results) {
			return r.Seals[i].Domain, true
		}
	}
	return "", false
}
