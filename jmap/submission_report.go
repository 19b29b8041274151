package jmap

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// Reports that come about what was sent (delivery status and disposition
// notifications) are noted in the submission, in the transaction that files them.

// maxReports is how many notifications of each kind a submission names.
const maxReports = 100

// NoteReport notes a report in the submission that it is about, if there is one: it is
// known by the envelope's id (RFC 3461 §4.4) or by the Message-ID. It is the hook for
// [delivery.Options].
func NoteReport(tx *store.Tx, at store.Appended, r *message.Report) error {
	id, m, err := reportedSubmission(&tx.View, r)
	if err != nil || m == nil {
		return err
	}
	list := "dsnBlobIds"
	if r.Disposition {
		list = "mdnBlobIds"
	}
	known, _ := m[list].([]any)
	if len(known) >= maxReports {
		return nil
	}
	m[list] = append(known, "B"+uintText(uint64(at.Email)))
	all, _ := m["deliveryStatus"].(map[string]any)
	for i := range r.Recipients {
		if one := reportedStatus(all, &r.Recipients[i]); one != nil {
			noteReported(one, &r.Recipients[i], r.Disposition)
		}
	}
	return tx.PutObject(store.ObjectSubmission, id, wire.Append(nil, map[string]any(m)), nil)
}

// reportedSubmission finds what a report is about; nil if nothing is. A message that was
// sent several times is the last of them.
func reportedSubmission(v *store.View, r *message.Report) (id string, m values, err error) {
	if r.EnvelopeID != "" && len(r.EnvelopeID) <= 255 {
		o, err := v.Object(store.ObjectSubmission, r.EnvelopeID)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return "", nil, err
		}
		if err == nil {
			m, err = decodeValues(o.Value)
			return o.ID, m, ignoreCorrupt(err)
		}
	}
	if r.MessageID == "" && r.EnvelopeID == "" {
		return "", nil, nil
	}
	err = eachSubmission(v, r.MessageID, func(one string, sub values) bool {
		same := r.EnvelopeID != "" && sub["envId"] == r.EnvelopeID || r.MessageID != "" && sub["messageId"] == r.MessageID
		if same && sub["deliveryStatus"] != nil && (m == nil || !dateOf(sub["sendAt"]).Before(dateOf(m["sendAt"]))) {
			id, m = one, sub
		}
		return true
	})
	return id, m, err
}

// ignoreCorrupt: a record that cannot be read must not keep mail out.
func ignoreCorrupt(err error) error {
	if err != nil && mail.KindOf(err) == mail.Corrupt {
		return nil
	}
	return err
}

// eachSubmission calls f with the submissions of an account that may name a Message-ID
// or the id of an envelope, until it returns false.
func eachSubmission(v *store.View, messageID string, f func(id string, m values) bool) error {
	spelt := wire.AppendString(nil, messageID)
	return v.Objects(store.ObjectSubmission, func(o store.Object) bool {
		if !bytes.Contains(o.Value, spelt) && !bytes.Contains(o.Value, []byte(`"envId"`)) {
			return true
		}
		m, err := decodeValues(o.Value)
		return err != nil || m == nil || f(o.ID, m)
	})
}

// reportedStatus is the DeliveryStatus of the recipient that a report names. Where there
// is one recipient, it is that one: the address may have led elsewhere.
func reportedStatus(all map[string]any, r *message.ReportedRecipient) map[string]any {
	for _, address := range []string{r.Original, r.Final} {
		if one, ok := all[address].(map[string]any); ok {
			return one
		}
	}
	for to, v := range all {
		one, _ := v.(map[string]any)
		if len(all) == 1 || strings.EqualFold(to, r.Original) || strings.EqualFold(to, r.Final) {
			return one
		}
	}
	return nil
}

// noteReported puts what is reported into a DeliveryStatus. What is "yes" or "no" is
// final, RFC 8621 §7.
func noteReported(one map[string]any, r *message.ReportedRecipient, disposition bool) {
	if disposition {
		if r.Displayed {
			one["displayed"] = "yes"
		}
		return
	}
	if was := one["delivered"]; was == "yes" || was == "no" {
		return
	}
	switch r.Action {
	case "failed":
		one["delivered"] = "no"
	case "delivered":
		one["delivered"] = "yes"
	case "delayed":
	default:
		return
	}
	if said := reportedReply(r); said != "" {
		one["smtpReply"] = said
	}
}

// reportedReply is the reply that a report tells of, or one that says the same.
func reportedReply(r *message.ReportedRecipient) string {
	kind, said, _ := strings.Cut(r.Diagnostic, ";")
	said = strings.Join(strings.Fields(said), " ")
	if len(said) > 1000 {
		said = strings.ToValidUTF8(said[:1000], "")
	}
	digits := len(said) > 3 && !slices.ContainsFunc([]byte(said[:3]), func(b byte) bool { return b < '0' || b > '9' })
	switch {
	case strings.EqualFold(strings.TrimSpace(kind), "smtp") && digits:
		return said
	case len(r.Status) < 5 || len(r.Status) > 11 || r.Status[1] != '.':
		return ""
	}
	return string(r.Status[0]) + "50 " + r.Status + " " + cmp.Or(said, r.Action)
}

// reports makes the getter of dsnBlobIds and mdnBlobIds: those that are still there.
func reports(name string) func(*getter, any) (any, error) {
	return func(g *getter, rec any) (any, error) {
		list := []string{}
		for _, id := range stringsOf(rec.(values)[name]) {
			n, ok := number(id, 'B')
			if !ok {
				continue
			}
			in, err := g.v.Memberships(store.EmailID(n))
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return nil, err
			}
			if len(in) > 0 {
				list = append(list, id)
			}
		}
		return list, nil
	}
}
