package server

import (
	"reflect"
	"slices"
	"testing"

	"posthouse/config"
	"posthouse/delivery"
	"posthouse/mailauth/dnsbl"
)

// inner are limits that are no promise to anybody: sizes of buffers, and bounds
// that follow from others.
var inner = []string{
	"imap.FlushBytes", "imap.FetchWhole", "imap.OutsizeSkippedBytes",
	"message.Boundary", "message.References", "message.Memory", "queue.ReturnedBytes",
}

// Every limit that a package has can be configured.
func TestEveryLimitIsAKey(t *testing.T) {
	l := config.Default().Limits
	q, err := queueOptions(config.Default(), nil, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"store": storeLimits(l), "message": messageLimits(l), "delivery": deliveryLimits(l), "smtp": smtpLimits(l),
		"imap": imapLimits(l), "web": webLimits(l), "jmap": jmapLimits(l), "queue": q.Limits, "directory": directoryOptions(config.Default()).Failures,
	} {
		s := reflect.ValueOf(v)
		for i := range s.NumField() {
			field := name + "." + s.Type().Field(i).Name
			if s.Field(i).IsZero() && !slices.Contains(inner, field) {
				t.Errorf("%s has no key in [limits]", field)
			}
		}
	}
}

// What the configuration says of senders reaches delivery.
func TestSenderChecks(t *testing.T) {
	s := &Server{cfg: config.Default(), resolver: nowhere{}}
	s.cfg.SMTP.TrustedForwarders = []string{"lists.example.org"}
	s.cfg.SMTP.Lists = map[string]string{"b.example": "-5", "a.example": "10"}
	c := s.senderChecks()
	if c == nil || c.Mode != delivery.Enforce || len(c.Sealers) != 1 || len(c.Lists) != 2 || !reflect.DeepEqual(c.Lists[0], dnsbl.Zone{Name: "a.example", Weight: 10}) {
		t.Errorf("%+v", c)
	}
	s.cfg.SMTP.SenderChecks = "mark"
	if c := s.senderChecks(); c.Mode != delivery.MarkOnly {
		t.Errorf("%+v", c)
	}
	s.cfg.SMTP.SenderChecks = "off"
	if c := s.senderChecks(); c != nil {
		t.Errorf("%+v", c)
	}
}
