package corpus

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"posthouse/message"
)

var testNow = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

func TestDemo(t *testing.T) {
	items := Demo(testNow)
	if len(items) < 175 {
		t.Fatalf("%d messages, want at least 175", len(items))
	}
	boxes := map[string]int{}
	for i, it := range items {
		boxes[it.Account+" "+it.Mailbox]++
		if it.Date.After(testNow) || i > 0 && it.Date.Before(items[i-1].Date) {
			t.Errorf("item %d: date %v out of order", i, it.Date)
		}
		if len(it.Raw) == 0 || bytes.Count(it.Raw, []byte("\n")) != bytes.Count(it.Raw, []byte("\r\n")) {
			t.Errorf("item %d has line ends that are not CRLF", i)
		}
		m := message.Parse(it.Raw)
		if m.Header.Value("Subject") == "" && it.Mailbox != "Drafts" {
			t.Errorf("item %d has no subject:\n%.300s", i, it.Raw)
		}
		for line := range bytes.Lines(it.Raw) {
			if len(line) > 1000 {
				t.Errorf("item %d (%s) has a line of %d bytes", i, m.Subject(), len(line))
				break
			}
		}
	}
	t.Log(len(items), boxes)
	if !slices.EqualFunc(items, Demo(testNow), func(a, b Item) bool {
		return a.Account == b.Account && a.Mailbox == b.Mailbox && a.Date.Equal(b.Date) && bytes.Equal(a.Raw, b.Raw)
	}) {
		t.Error("a second run gives other mail")
	}
}

func TestThreadsCrossMailboxes(t *testing.T) {
	ids := map[string]string{} // of Ada's mail
	across := 0
	for _, it := range Demo(testNow) {
		if it.Account != Ada {
			continue
		}
		m := message.Parse(it.Raw)
		for _, r := range m.References() {
			if box, ok := ids[r]; ok && box != it.Mailbox {
				across++
			}
		}
		ids[m.MessageID()] = it.Mailbox
	}
	if across < 10 {
		t.Errorf("%d references lead to another mailbox", across)
	}
}

func TestRandomSize(t *testing.T) {
	total := 0
	ms := Random(1, 500, 8192)
	for _, m := range ms {
		total += len(m)
		if !bytes.HasSuffix(m, []byte("\r\n")) {
			t.Fatal("no final line end")
		}
	}
	if mean := total / len(ms); mean < 7400 || mean > 9000 {
		t.Errorf("mean size %d", mean)
	}
}

func TestHard(t *testing.T) {
	names, safe := map[string]bool{}, 0
	for _, c := range Hard() {
		if names[c.Name] {
			t.Errorf("%s twice", c.Name)
		}
		names[c.Name] = true
		if c.SMTP {
			safe++
		}
		if m := message.Parse(c.Raw); m.Size != int64(len(c.Raw)) {
			t.Errorf("%s: size %d of %d", c.Name, m.Size, len(c.Raw))
		}
	}
	for _, name := range []string{"8bit", "nul", "long-line", "no-final-newline", "header-only", "empty", "bare-lf"} {
		if !names[name] {
			t.Errorf("no case %q", name)
		}
	}
	if safe < 20 || safe == len(names) {
		t.Errorf("%d of %d cases may go by SMTP", safe, len(names))
	}
}
