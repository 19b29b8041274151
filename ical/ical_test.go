package ical

import (
	"strings"
	"testing"
	"time"
)

const berlin = "BEGIN:VTIMEZONE\r\nTZID:W. Europe\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\n" +
	"BEGIN:DAYLIGHT\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"

const invitation = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n" + berlin + "BEGIN:VEVENT\r\nUID:u1@x\r\nSEQUENCE:2\r\nDTSTAMP:20261101T080000Z\r\nDTSTART;TZID=\"W. Europe\":20261126T100000\r\nDURATION:PT1H30M\r\n" +
	"SUMMARY:Budget\\, review\r\nDESCRIPTION:one\\ntwo \r\n more\r\nLOCATION:Room 4\r\nORGANIZER;CN=\"Okafor, Grace\":mailto:grace@okafor.example\r\n" +
	"ATTENDEE;CN=Ada;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:MAILTO:ada@demo.test\r\nATTENDEE;ROLE=OPT-PARTICIPANT;PARTSTAT=accepted:mailto:ben@demo.test\r\nRRULE:FREQ=WEEKLY\r\n" +
	"BEGIN:VALARM\r\nDESCRIPTION:no\r\nEND:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:other\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// RFC 5545 §3.6.1 and RFC 5546 §3.2.2: what a reader is shown of an invitation.
func TestParse(t *testing.T) {
	inv, ok := Parse([]byte(invitation), Limits{})
	if !ok || inv.Method != "REQUEST" || inv.UID != "u1@x" || inv.Sequence != 2 || inv.Summary != "Budget, review" || inv.Description != "one\ntwo more" || inv.Location != "Room 4" || inv.Recurrence != "FREQ=WEEKLY" {
		t.Fatalf("%+v", inv)
	}
	if inv.Start.Local != "2026-11-26T10:00:00" || inv.Start.Zone != "W. Europe" || !inv.Start.Instant.Equal(time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)) ||
		inv.End.Local != "2026-11-26T11:30:00" || !inv.End.Instant.Equal(inv.Start.Instant.Add(90*time.Minute)) {
		t.Errorf("%+v %+v", inv.Start, inv.End)
	}
	if inv.Organizer.Name != "Okafor, Grace" || inv.Organizer.Email != "grace@okafor.example" || len(inv.Attendees) != 2 ||
		inv.Attendees[0] != (Person{"Ada", "ada@demo.test", "NEEDS-ACTION", "REQ-PARTICIPANT", true}) || inv.Attendees[1].Status != "ACCEPTED" || inv.Attendees[1].Role != "OPT-PARTICIPANT" {
		t.Errorf("%+v", inv.Attendees)
	}
	for _, none := range []string{"", "hello", "BEGIN:VCALENDAR\nEND:VCALENDAR", "BEGIN:VEVENT"} {
		if _, ok := Parse([]byte(none), Limits{}); ok {
			t.Errorf("%q is an invitation", none)
		}
	}
	if few, _ := Parse([]byte(invitation), Limits{Attendees: 1}); len(few.Attendees) != 1 {
		t.Error("the bound of attendees does not hold")
	}
}

func TestMoments(t *testing.T) {
	for in, want := range map[string]string{
		"DTSTART:20260329T013000Z":                    "2026-03-29T01:30:00 UTC 2026-03-29T01:30:00Z",
		"DTSTART;TZID=W. Europe:20260329T030000":      "2026-03-29T03:00:00 W. Europe 2026-03-29T01:00:00Z",
		"DTSTART;TZID=W. Europe:20260329T010000":      "2026-03-29T01:00:00 W. Europe 2026-03-29T00:00:00Z",
		"DTSTART;TZID=W. Europe:20261025T120000":      "2026-10-25T12:00:00 W. Europe 2026-10-25T11:00:00Z",
		"DTSTART;TZID=W. Europe:20260701T120000":      "2026-07-01T12:00:00 W. Europe 2026-07-01T10:00:00Z",
		"DTSTART;TZID=Europe/Paris:20260701T120000":   "2026-07-01T12:00:00 Europe/Paris 0001-01-01T00:00:00Z",
		"DTSTART:20260701T120000":                     "2026-07-01T12:00:00  0001-01-01T00:00:00Z",
		"DTSTART;VALUE=DATE:20260701\r\nDURATION:P2D": "2026-07-01  0001-01-01T00:00:00Z",
		"DTSTART:yesterday":                           "  0001-01-01T00:00:00Z",
	} {
		inv, _ := Parse([]byte("BEGIN:VCALENDAR\r\n"+berlin+"BEGIN:VEVENT\r\nUID:1\r\n"+in+"\r\nEND:VEVENT\r\n"), Limits{})
		if got := inv.Start.Local + " " + inv.Start.Zone + " " + inv.Start.Instant.Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if strings.Contains(in, "P2D") && (inv.End.Local != "2026-07-03" || !inv.Start.AllDay) {
			t.Errorf("%+v", inv.End)
		}
	}
}

// RFC 5546 §3.2.3: an answer names the event, who answers, and nothing else happens.
func TestReply(t *testing.T) {
	inv, _ := Parse([]byte(strings.Replace(invitation, "RRULE:FREQ=WEEKLY", "RECURRENCE-ID;TZID=W. Europe:20261203T100000", 1)), Limits{})
	got := string(inv.Reply(Person{Name: "Ada \"x\"\r\nEVIL:1", Email: "ada@demo.test"}, Accepted, "with\npleasure; yes", time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
	want := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Posthouse//Mail//EN\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:u1@x\r\nSEQUENCE:2\r\nDTSTAMP:20261123T120000Z\r\n" +
		"RECURRENCE-ID;TZID=\"W. Europe\":20261203T100000\r\nORGANIZER;CN=\"Okafor, Grace\":mailto:grace@okafor.example\r\n" +
		"ATTENDEE;PARTSTAT=ACCEPTED;CN=\"Ada ^'x^'EVIL:1\":mailto:ada@demo.test\r\nSUMMARY:Budget\\, review\r\nCOMMENT:with\\npleasure\\; yes\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if got != want {
		t.Errorf("%s", got)
	}
	if again, ok := Parse([]byte(got), Limits{}); !ok || again.Method != "REPLY" || again.Attendees[0].Status != "ACCEPTED" || again.Attendees[0].Name != "Ada \"x\"EVIL:1" {
		t.Errorf("%+v", again)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(invitation))
	f.Add([]byte("BEGIN:VEVENT\nDTSTART;TZID=\"a\":20260101T000000\nBEGIN:VTIMEZONE\nTZID:a\nBEGIN:STANDARD\nRRULE:FREQ=YEARLY;BYDAY=5SU;BYMONTH=2\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n"))
	f.Add([]byte("BEGIN:VEVENT\nDURATION:P99999W9\nDTSTART:99991231T235959Z\nATTENDEE;CN=\"^n^'^^\":mailto:a@b\nEND:VEVENT"))
	f.Fuzz(func(t *testing.T, b []byte) {
		inv, ok := Parse(b, Limits{})
		if !ok {
			return
		}
		out := inv.Reply(Person{Name: inv.Organizer.Name, Email: "a@b.test"}, Declined, inv.Description, time.Unix(0, 0))
		for l := range strings.SplitSeq(strings.TrimSuffix(string(out), "\r\n"), "\r\n") {
			if len(l) > 75 || strings.ContainsAny(l, "\r\n\x00") {
				t.Errorf("%q", l)
			}
		}
		again, ok := Parse(out, Limits{Text: 1 << 20})
		if !ok && inv.UID != "" && plain(inv.UID) == inv.UID || ok && again.Method != "REPLY" {
			t.Errorf("the answer is not understood: %q", out)
		}
	})
}
