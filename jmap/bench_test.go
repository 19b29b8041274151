package jmap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// fill puts n letters into the inbox, in threads of about four.
func (r *rig) fill(n int) {
	r.t.Helper()
	a, err := r.store.Account(r.t.Context(), ada.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	for lo := 0; lo < n; lo += 500 {
		var staged []*store.Staged
		for i := lo; i < min(lo+500, n); i++ {
			m, err := r.store.Stage(r.t.Context())
			if err != nil {
				r.t.Fatal(err)
			}
			fmt.Fprintf(m, "From: Ben %d <ben%d@demo.test>\r\nSubject: about %d\r\nMessage-ID: <%d@x>\r\nReferences: <root%d@x>\r\n\r\nHello%s\r\n", i%977, i%977, i/4, i, i/4, strings.Repeat(".", i%83))
			if err := m.Finish(); err != nil {
				r.t.Fatal(err)
			}
			staged = append(staged, m)
		}
		if err := a.Update(r.t.Context(), func(tx *store.Tx) error {
			box, err := tx.Mailbox("INBOX")
			if err != nil {
				return err
			}
			for i, m := range staged {
				var flags []mail.Flag
				if i%3 > 0 {
					flags = []mail.Flag{mail.FlagSeen}
				}
				if _, err := tx.Append(box.ID, m, store.AppendOptions{Flags: flags, InternalDate: time.Unix(1.7e9+int64(lo+i), 0)}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			r.t.Fatal(err)
		}
		for _, m := range staged {
			m.Close()
		}
	}
}

// BenchmarkQuery: a window of 64 at any position of a mailbox of 100,000 messages,
// threads collapsed, when nothing changed and when something did.
func BenchmarkQuery(b *testing.B) {
	r := newRig(b, Options{Limits: Limits{UserPerMinute: -1}})
	r.fill(100_000)
	box := r.boxes()["Inbox"]
	for _, c := range []struct{ name, filter string }{
		{"inbox", `{"inMailbox":"` + box + `"}`}, {"unread", `{"inMailbox":"` + box + `","notKeyword":"$seen"}`}, {"everything", `{}`},
	} {
		window := func(at int) string {
			return fmt.Sprintf(`{"accountId":"A7","filter":%s,"sort":[{"property":"receivedAt","isAscending":false}],"collapseThreads":true,"position":%d,"limit":64}`, c.filter, at)
		}
		r.call("Email/query", window(0))
		b.Run(c.name+"/same", func(b *testing.B) {
			for i := range b.N {
				r.call("Email/query", window(i*997%25000))
			}
		})
		b.Run(c.name+"/changed", func(b *testing.B) {
			for i := range b.N {
				b.StopTimer()
				r.call("Email/set", fmt.Sprintf(`{"accountId":"A7","update":{"M%d":{"keywords/$flagged":%v}}}`, 1+i*31%100_000, i%2 == 0))
				b.StartTimer()
				r.call("Email/query", window(i*997%25000))
			}
		})
	}
}

// BenchmarkQueryWindow: a window of 64 by each order and filter, at the beginning, in the
// middle, at the end and around an anchor, of 100,000 messages. "changed" is after a
// message got another flag, "first" when nobody asked before.
func BenchmarkQueryWindow(b *testing.B) {
	r := newRig(b, Options{Limits: Limits{UserPerMinute: -1}})
	r.fill(100_000)
	box, n := r.boxes()["Inbox"], 0
	filters := []struct{ name, filter string }{{"inMailbox", `{"inMailbox":"` + box + `"}`}, {"hasKeyword", `{"inMailbox":"` + box + `","hasKeyword":"$seen"}`}, {"text", `{"text":"ben"}`}}
	for _, sort := range []string{"receivedAt", "from", "subject", "size"} {
		for _, f := range filters {
			for _, collapse := range []bool{false, true} {
				ask := func(where string) map[string]any {
					return r.call("Email/query", fmt.Sprintf(`{"accountId":"A7","filter":%s,"sort":[{"property":%q,"isAscending":false}],"collapseThreads":%v,"limit":64,%s}`, f.filter, sort, collapse, where))
				}
				name := fmt.Sprintf("%s/%s/collapse=%v/", sort, f.name, collapse)
				b.Run(name+"first", func(b *testing.B) {
					for range b.N {
						r.srv.indexes.of(ada.ID, 0, 1<<40).forgetQueries()
						ask(`"position":0`)
					}
				})
				last, _ := ask(`"position":-1`)["ids"].([]any)
				for _, where := range []string{`"position":0`, `"position":50000`, `"position":99950`, `"anchor":"` + last[0].(string) + `","anchorOffset":-32`} {
					b.Run(name+strings.NewReplacer(`"`, "", ":", "=").Replace(where), func(b *testing.B) {
						for range b.N {
							ask(where)
						}
					})
				}
				b.Run(name+"changed", func(b *testing.B) {
					for range b.N {
						b.StopTimer()
						n++
						r.call("Email/set", fmt.Sprintf(`{"accountId":"A7","update":{"M%d":{"keywords/$flagged":%v}}}`, 1+n*31%100_000, n%2 == 0))
						b.StartTimer()
						ask(`"position":50000`)
					}
				})
			}
		}
	}
}

func (x *index) forgetQueries() {
	x.mu.Lock()
	x.queries.clear()
	x.mu.Unlock()
}
