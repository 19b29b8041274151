package jmap

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Results that are brought up to date are those that a question asked anew would have,
// by every order that lasts, with and without threads.
func TestRequery(t *testing.T) {
	for _, collapse := range []bool{false, true} {
		requeried(t, collapse)
	}
}

func requeried(t *testing.T, collapse bool) {
	r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
	r.fill(300)
	rnd := rand.New(rand.NewPCG(1, 2))
	var questions []string
	for _, sort := range []string{"receivedAt", "from", "to", "subject", "size", "sentAt"} {
		for i := range 2 { // as many questions as are kept
			second := ""
			if sort == "size" {
				second = `,{"property":"from","isAscending":false}`
			}
			questions = append(questions, fmt.Sprintf(`{"accountId":"A7","filter":{"inMailbox":"%s","notKeyword":"$flagged"},"sort":[{"property":%q,"isAscending":%v}%s],"collapseThreads":%v}`, r.boxes()["Inbox"], sort, i == 0, second, collapse))
		}
	}
	if len(questions) > maxQueries {
		t.Fatal("they are not all kept")
	}
	for round := range 12 {
		for range 3 {
			id := 1 + rnd.IntN(300)
			switch rnd.IntN(4) {
			case 0:
				r.call("Email/set", fmt.Sprintf(`{"accountId":"A7","destroy":["M%d"]}`, id))
			case 1:
				r.deliver("INBOX", letter(1000+round, fmt.Sprintf("References: <root%d@x>\n", id/4)))
			default:
				r.call("Email/set", fmt.Sprintf(`{"accountId":"A7","update":{"M%d":{"keywords/$flagged":%v}}}`, id, rnd.IntN(2) == 0))
			}
		}
		kept := make([]string, len(questions))
		for i, q := range questions {
			kept[i] = text(r.call("Email/query", q)["ids"])
		}
		for i, q := range questions {
			r.srv.indexes.of(ada.ID, 0, 1<<40).forgetQueries()
			if anew := text(r.call("Email/query", q)["ids"]); anew != kept[i] {
				t.Fatalf("round %d, %s:\n%s\nanew:\n%s", round, q, kept[i], anew)
			}
		}
		for _, q := range questions { // to be brought up to date next
			r.call("Email/query", q)
		}
	}
}
