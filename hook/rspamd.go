package hook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"posthouse/mail"
)

// Rspamd asks Rspamd by HTTP (/checkv2). Greylisting, which it may ask for, is not done.
type Rspamd struct {
	URL      string // as http://127.0.0.1:11333
	Password string // "": none
	Client   *http.Client
}

// maxRspamd bounds its answer.
const maxRspamd = 1 << 20

// rspamdAnswer is what we read of it.
type rspamdAnswer struct {
	Action   string  `json:"action"`
	Score    float64 `json:"score"`
	Required float64 `json:"required_score"`
	Symbols  map[string]struct {
		Score float64 `json:"score"`
	} `json:"symbols"`
	Messages map[string]any `json:"messages"`
	Milter   struct {
		Add    map[string]json.RawMessage `json:"add_headers"`
		Remove map[string]json.RawMessage `json:"remove_headers"`
	} `json:"milter"`
	Subject   string          `json:"subject"` // of the action "rewrite subject"
	Signature json.RawMessage `json:"dkim-signature"`
}

// fields appends the header fields that Rspamd wants added: strings, objects with a
// value, or lists of such.
func fields(dst []byte, name string, raw json.RawMessage) []byte {
	var text string
	var one struct {
		Value string `json:"value"`
	}
	var list []json.RawMessage
	switch {
	case len(raw) == 0:
	case json.Unmarshal(raw, &text) == nil:
		dst = appendField(dst, name, text)
	case json.Unmarshal(raw, &list) == nil:
		for _, r := range list[:min(len(list), maxFields)] {
			if len(r) > 0 && r[0] != '[' {
				dst = fields(dst, name, r)
			}
		}
	case json.Unmarshal(raw, &one) == nil && one.Value != "":
		dst = appendField(dst, name, one.Value)
	}
	return dst
}

// Ask implements Hook.
func (r *Rspamd) Ask(ctx context.Context, m *Message) (Verdict, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(r.URL, "/")+"/checkv2", m.Reader())
	if err != nil {
		return Verdict{}, err
	}
	req.ContentLength = int64(len(m.Prefix)) + m.Size
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, headerSafe(value))
		}
	}
	if m.Remote.IsValid() {
		set("IP", m.Remote.Unmap().WithZone("").String())
	}
	set("Helo", m.Hello)
	set("Hostname", m.Name)
	set("From", m.From.String())
	set("Queue-Id", m.ID)
	set("User", m.Account)
	set("Password", r.Password)
	set("MTA-Name", m.Host)
	for _, to := range m.To {
		req.Header.Add("Rcpt", headerSafe(to.Address.String()))
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return Verdict{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Verdict{}, fmt.Errorf("%w: Rspamd says %s", errAnswer, res.Status)
	}
	var a rspamdAnswer
	if err := json.NewDecoder(io.LimitReader(res.Body, maxRspamd)).Decode(&a); err != nil {
		return Verdict{}, err
	}
	return a.verdict()
}

// headerSafe keeps addresses of strangers from ending a field of the request.
func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// rspamdActions is what each of its actions means here.
var rspamdActions = map[string]Action{"no action": Pass, "greylist": Pass, "add header": Junk, "rewrite subject": Junk,
	"quarantine": Junk, "soft reject": Defer, "reject": Reject, "discard": Discard}

func (a *rspamdAnswer) verdict() (Verdict, error) {
	action, known := rspamdActions[a.Action]
	if !known {
		return Verdict{}, fmt.Errorf("%w: Rspamd's action %q", errAnswer, a.Action)
	}
	v := Verdict{Action: action, Findings: []mail.Finding{{Check: "rspamd", Result: a.Action, Text: a.text()}}}
	v.Header = fields(nil, "DKIM-Signature", a.Signature)
	for _, name := range slices.Sorted(maps.Keys(a.Milter.Add)) {
		if !strings.EqualFold(name, "DKIM-Signature") || len(v.Header) == 0 {
			v.Header = fields(v.Header, name, a.Milter.Add[name])
		}
	}
	v.Changes = a.changes()
	switch action {
	case Reject:
		v.Reply = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: a.message("This message looks like spam")}
	case Defer:
		v.Reply = mail.Reply{Code: 451, Enhanced: [3]uint8{4, 7, 1}, Text: a.message("Try again later")}
	}
	return v, nil
}

// changes are the fields that it wants away, each by its number or all (0), and another
// subject.
func (a *rspamdAnswer) changes() []Change {
	var list []Change
	for _, name := range slices.Sorted(maps.Keys(a.Milter.Remove)) {
		var one int
		var many []int
		if json.Unmarshal(a.Milter.Remove[name], &one) == nil {
			many = []int{one}
		} else if json.Unmarshal(a.Milter.Remove[name], &many) != nil {
			continue
		}
		slices.Sort(many)
		for _, n := range slices.Backward(many[:min(len(many), maxFields)]) { // the last first: the others keep their numbers
			if n >= 0 {
				list = append(list, Change{Kind: ChangeField, Name: name, Index: n})
			}
		}
	}
	if a.Action == "rewrite subject" && a.Subject != "" {
		if line := appendField(nil, "Subject", a.Subject); line != nil {
			list = append(list, Change{Kind: ChangeField, Name: "Subject", Index: 1, Line: line})
		}
	}
	return list
}

// text names the score and the symbols that weigh most.
func (a *rspamdAnswer) text() string {
	text := strconv.FormatFloat(a.Score, 'f', 2, 64) + " of " + strconv.FormatFloat(a.Required, 'f', 2, 64)
	names := slices.SortedFunc(maps.Keys(a.Symbols), func(x, y string) int {
		return cmp.Or(cmp.Compare(abs(a.Symbols[y].Score), abs(a.Symbols[x].Score)), cmp.Compare(x, y))
	})
	for _, n := range names[:min(len(names), 8)] {
		text += " " + n + "(" + strconv.FormatFloat(a.Symbols[n].Score, 'f', 2, 64) + ")"
	}
	return text
}

func abs(f float64) float64 { return max(f, -f) }

func (a *rspamdAnswer) message(otherwise string) string {
	if s, ok := a.Messages["smtp_message"].(string); ok && s != "" && len(s) < 200 {
		return headerSafe(s)
	}
	return otherwise
}
