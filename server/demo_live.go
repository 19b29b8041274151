package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/smtp"
	"time"

	"posthouse/internal/corpus"
)

// mostArrivals is how many messages come to a demo by themselves: one that is left
// running for days does not fill the disk.
const mostArrivals = 200

// live does what a demo does beside serving, as one who uses it would: it puts a
// conversation off, has a message go out later, and every so often somebody writes to
// Ada. It goes in by the doors that everybody uses.
func (d *Demo) live(ctx context.Context) {
	if d.filled {
		if err := d.later(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("the demo has nothing snoozed and scheduled", "err", err)
		}
	}
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for n := range mostArrivals {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.arrive(ctx, corpus.Arrival(n, time.Now())); err != nil && ctx.Err() == nil {
			d.log.LogAttrs(ctx, slog.LevelWarn, "a message did not come to the demo", slog.Any("err", err))
		}
	}
}

// arrive delivers a message as a stranger's server does.
func (d *Demo) arrive(ctx context.Context, m corpus.Letter) error {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, "tcp", d.addr("mx"))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	c, err := smtp.NewClient(nc, "localhost")
	if err != nil {
		return errors.Join(err, nc.Close())
	}
	defer func() { _ = c.Close() }()
	for _, step := range []func() error{
		func() error { return c.Hello("mx.elsewhere.example") },
		func() error { return c.Mail(m.From) },
		func() error { return c.Rcpt(demoAda) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.Raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

type demoCall struct {
	method string
	args   map[string]any
}

// later puts a conversation off until tomorrow morning, and has a message go out then.
func (d *Demo) later(ctx context.Context) error {
	now := time.Now()
	at := time.Date(now.Year(), now.Month(), now.Day()+1, 8, 0, 0, 0, time.Local).UTC().Format(time.RFC3339)
	boxes := map[string]string{}
	var list struct {
		List []struct{ ID, Role string }
	}
	var found struct{ IDs []string }
	if err := d.jmap(ctx, []demoCall{{"Mailbox/get", map[string]any{"ids": nil}}}, &list); err != nil {
		return err
	}
	for _, b := range list.List {
		boxes[b.Role] = b.ID
	}
	if err := d.jmap(ctx, []demoCall{{"Email/query", map[string]any{"filter": map[string]any{"subject": corpus.PutOff, "inMailbox": boxes["inbox"]}}}}, &found); err != nil {
		return err
	}
	snooze := map[string]any{}
	for _, id := range found.IDs {
		snooze[id] = map[string]any{"snoozed": map[string]any{"until": at}}
	}
	subject, text := corpus.GoesOutLater()
	people := func(address string) []map[string]any { return []map[string]any{{"email": address}} }
	return d.jmap(ctx, []demoCall{
		{"Email/set", map[string]any{"update": snooze}},
		{"Mailbox/set", map[string]any{"create": map[string]any{"later": map[string]any{"name": "Scheduled", "parentId": nil}}}},
		{"Email/set", map[string]any{"create": map[string]any{"m": map[string]any{
			"mailboxIds": map[string]any{boxes["drafts"]: true}, "keywords": map[string]any{"$draft": true, "$seen": true},
			"from": []map[string]any{{"name": "Ada Lovelace", "email": demoAda}}, "to": []map[string]any{{"name": "Ben Okri", "email": demoBen}}, "subject": subject,
			"textBody": []map[string]any{{"partId": "1", "type": "text/plain"}}, "bodyValues": map[string]any{"1": map[string]any{"value": text}},
		}}}},
		{"EmailSubmission/set", map[string]any{
			"create": map[string]any{"s": map[string]any{"identityId": "default", "emailId": "#m",
				"envelope": map[string]any{"mailFrom": map[string]any{"email": demoAda, "parameters": map[string]any{"HOLDUNTIL": at}}, "rcptTo": people(demoBen)},
				"onSend":   map[string]any{"mailboxIds/" + boxes["sent"]: true, "mailboxIds/#later": nil}}},
			"onSuccessUpdateEmail": map[string]any{"#s": map[string]any{"mailboxIds/" + boxes["drafts"]: nil, "mailboxIds/#later": true, "keywords/$draft": nil}},
		}},
	})
}

// jmap asks the demo's own server as Ada, and puts the first answers into out.
func (d *Demo) jmap(ctx context.Context, calls []demoCall, out ...any) error {
	acct, err := d.accountOf(ctx, demoAda)
	if err != nil {
		return err
	}
	var list [][3]any
	for i, c := range calls {
		c.args["accountId"] = fmt.Sprintf("A%d", acct.ID)
		list = append(list, [3]any{c.method, c.args, fmt.Sprint(i)})
	}
	body, err := json.Marshal(map[string]any{"methodCalls": list, "using": []string{
		"urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:ietf:params:jmap:submission", "https://posthouse.email/jmap"}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL()+"jmap/api", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(demoAda, demoPassword)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ MethodResponses [][3]json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	for i, r := range answer.MethodResponses {
		var refused struct{ NotCreated, NotUpdated map[string]json.RawMessage }
		if err := json.Unmarshal(r[1], &refused); err != nil {
			return err
		}
		if string(r[0]) == `"error"` || len(refused.NotCreated)+len(refused.NotUpdated) > 0 {
			return fmt.Errorf("%s: %s", calls[min(i, len(calls)-1)].method, r[1])
		}
		if i < len(out) {
			if err := json.Unmarshal(r[1], out[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
