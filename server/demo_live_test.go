package server

import (
	"context"
	"os"
	"testing"
	"time"
)

// A live demo says what to try, has a conversation that is put off and a message that
// goes out later, and somebody writes to Ada.
func TestDemoLive(t *testing.T) {
	d, err := StartDemo(t.Context(), DemoOptions{PortBase: -1, Log: os.Stderr, Live: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Wait(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ask := func(call demoCall, out any) {
		t.Helper()
		if err := d.jmap(ctx, []demoCall{call}, out); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		List []struct {
			Name        string
			TotalEmails int
		}
	}
	has := func() map[string]int {
		ask(demoCall{"Mailbox/get", map[string]any{"ids": nil}}, &got)
		all := map[string]int{}
		for _, b := range got.List {
			all[b.Name] = b.TotalEmails
		}
		return all
	}
	before, end := 0, time.Now().Add(60*time.Second)
	for {
		all := has()
		if all["Snoozed"] > 0 && all["Scheduled"] == 1 {
			if before == 0 {
				before = all["Inbox"]
			} else if all["Inbox"] > before {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatalf("after 60 s: %v", all)
		}
		time.Sleep(20 * time.Millisecond)
	}
	var found struct{ IDs []string }
	ask(demoCall{"Email/query", map[string]any{"filter": map[string]any{"hasKeyword": "$guide"}}}, &found)
	if len(found.IDs) != 1 {
		t.Errorf("%d messages say what to try", len(found.IDs))
	}
}
