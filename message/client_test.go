package message_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"posthouse/internal/corpus"
	"posthouse/message"
)

// TestClientReadsStructures puts what we write for each message of the corpus
// before the parser of a foreign IMAP client.
func TestClientReadsStructures(t *testing.T) {
	var raws [][]byte
	for _, it := range corpus.Demo(time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)) {
		raws = append(raws, it.Raw)
	}
	for _, c := range corpus.Hard() {
		raws = append(raws, c.Raw)
	}
	var out bytes.Buffer
	for i, raw := range raws {
		m := message.Parse(raw)
		fmt.Fprintf(&out, "* %d FETCH (ENVELOPE %s BODYSTRUCTURE %s)\r\n", i+1, m.AppendEnvelope(nil), m.AppendBodyStructure(nil))
	}
	client, server := net.Pipe()
	go serveCanned(server, out.Bytes())
	c := imapclient.New(client, nil)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	got, err := c.Fetch(all, &imap.FetchOptions{Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(raws) {
		t.Fatalf("%d answers for %d messages", len(got), len(raws))
	}
	for i, g := range got {
		m := message.Parse(raws[i])
		if g.Envelope.MessageID != m.MessageID() && !strings.Contains(m.Header.Value("Message-ID"), " ") {
			t.Errorf("%d: id %q, theirs %q", i, m.MessageID(), g.Envelope.MessageID)
		}
		n := 0
		g.BodyStructure.Walk(func(path []int, part imap.BodyStructure) bool {
			n++
			j, ok := m.PartAt(path)
			if !ok {
				// An empty multipart shows a part that is not there.
				return true
			}
			if p := &m.Parts[j]; part.MediaType() != p.Type+"/"+p.Subtype && p.Children > 0 && !strings.HasPrefix(part.MediaType(), "multipart") {
				t.Errorf("%d: part %v is %s/%s, theirs %s", i, path, p.Type, p.Subtype, part.MediaType())
			}
			return true
		})
		if n == 0 {
			t.Errorf("%d: no parts", i)
		}
	}
}

// serveCanned is an IMAP server that knows one answer to FETCH.
func serveCanned(conn net.Conn, fetch []byte) {
	defer conn.Close()
	fmt.Fprint(conn, "* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		switch {
		case strings.HasPrefix(command, "SELECT"):
			fmt.Fprint(conn, "* FLAGS ()\r\n* 1000 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 1001] x\r\n")
		case strings.HasPrefix(command, "FETCH"):
			conn.Write(fetch)
		}
		fmt.Fprintf(conn, "%s OK done\r\n", tag)
	}
}
