package server

import (
	"reflect"
	"slices"
	"testing"

	"posthouse/config"
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
	q, err := queueOptions(config.Default(), nil, "x", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"store": storeLimits(l), "message": messageLimits(l), "delivery": deliveryLimits(l), "smtp": smtpLimits(l),
		"imap": imapLimits(l), "web": webLimits(l), "queue": q.Limits, "directory": directoryOptions(config.Default()).Failures,
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
