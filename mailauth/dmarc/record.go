package dmarc

import (
	"strconv"
	"strings"
)

// A Record is a policy record, RFC 7489 §6.3.
type Record struct {
	Policy, Subdomains     Disposition // p, sp
	Absent                 Disposition // np: of subdomains that do not exist (RFC 9091 §3.2)
	Testing                bool        // t=y: one step less than the policy says (RFC 9989)
	PSD                    byte        // psd: y, n or u, where an organization begins (RFC 9989)
	StrictDKIM, StrictSPF  bool        // adkim, aspf
	Percent                int         // pct
	Aggregate, Failure     []string    // rua, ruf: URIs as published
	FailureOptions, Format string      // fo, rf
	Interval               int         // ri, seconds
}

// The values of PSD.
const (
	psdUnset byte = 'u'
	psdYes   byte = 'y' // names below belong to others
	psdNo    byte = 'n' // an organization begins here
)

// isRecord: the version comes first and is exact.
func isRecord(s string) bool {
	name, rest, ok := strings.Cut(s, "=")
	if !ok || strings.TrimSpace(name) != "v" {
		return false
	}
	version, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(version) == "DMARC1"
}

// Limits of a record.
const (
	maxRecord = 4096
	maxTags   = 64
	maxURIs   = 20
)

// parseRecord reads a record. Unknown tags and values do not count; without a usable
// p= but with a place to report to it is p=none, else nothing (RFC 7489 §6.6.3). One
// that says where an organization begins needs no policy (RFC 9989).
func parseRecord(s string) (Record, bool) {
	rec := Record{Percent: 100, Interval: 86400, FailureOptions: "0", Format: "afrf", PSD: psdUnset}
	if len(s) > maxRecord || strings.Count(s, ";") > maxTags {
		return rec, false
	}
	hasPolicy, hasSub, hasAbsent := false, false, false
	seen := map[string]bool{}
	for item := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(item, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || seen[name] {
			if strings.TrimSpace(item) != "" && name == "p" {
				return rec, false // two policies are none
			}
			continue
		}
		seen[name] = true
		switch name {
		case "p":
			rec.Policy, hasPolicy = disposition(value)
		case "sp":
			rec.Subdomains, hasSub = disposition(value)
		case "np":
			rec.Absent, hasAbsent = disposition(value)
		case "t":
			rec.Testing = strings.EqualFold(value, "y")
		case "psd":
			if v := strings.ToLower(value); v == "y" || v == "n" {
				rec.PSD = v[0]
			}
		case "adkim":
			rec.StrictDKIM = strings.EqualFold(value, "s")
		case "aspf":
			rec.StrictSPF = strings.EqualFold(value, "s")
		case "pct":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 100 {
				rec.Percent = n
			}
		case "rua":
			rec.Aggregate = uris(value)
		case "ruf":
			rec.Failure = uris(value)
		case "fo":
			rec.FailureOptions = value
		case "rf":
			rec.Format = value
		case "ri":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				rec.Interval = int(n)
			}
		}
	}
	if !hasPolicy || seen["sp"] && !hasSub || seen["np"] && !hasAbsent {
		if len(rec.Aggregate) == 0 && rec.PSD == psdUnset {
			return rec, false
		}
		rec.Policy, rec.Subdomains, rec.Absent = Nothing, Nothing, Nothing
		return rec, true
	}
	if !hasSub {
		rec.Subdomains = rec.Policy
	}
	if !hasAbsent {
		rec.Absent = rec.Subdomains
	}
	return rec, true
}

func disposition(s string) (Disposition, bool) {
	for d := Nothing; d <= Reject; d++ {
		if strings.EqualFold(s, d.String()) {
			return d, true
		}
	}
	return Nothing, false
}

func uris(s string) []string {
	var list []string
	for u := range strings.SplitSeq(s, ",") {
		if u = strings.TrimSpace(u); strings.Contains(u, ":") && len(list) < maxURIs {
			list = append(list, u)
		}
	}
	return list
}
