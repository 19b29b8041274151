package imap

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestGoIMAP lets a client that others wrote do a day's work.
func TestGoIMAP(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	for i := range 3 {
		if err := h.deliver(1, "INBOX", sample(i)); err != nil {
			t.Fatal(err)
		}
	}
	exists := make(chan uint32, 10)
	c := dialClient(t, h, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				exists <- *d.NumMessages
			}
		}}})
	sel, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil || sel.NumMessages != 3 || sel.UIDNext != 4 || sel.HighestModSeq == 0 {
		t.Fatalf("select: %+v %v", sel, err)
	}
	fetchAll(t, c)
	listAll(t, c)
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "lunch"}}}, nil).Wait()
	if err != nil || !slices.Equal(found.AllUIDs(), []imap.UID{1, 3}) {
		t.Fatalf("search: %v %v", found, err)
	}
	appendAndMove(t, c)
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	for len(exists) > 0 {
		<-exists
	}
	if err := h.deliver(1, "INBOX", sample(0)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-exists:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was pushed")
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

func dialClient(t *testing.T, h *house, o *imapclient.Options) *imapclient.Client {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(nc, o)
	t.Cleanup(func() { c.Close() })
	if err := c.Login("ada", "demo").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func fetchAll(t *testing.T, c *imapclient.Client) {
	t.Helper()
	section := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{Envelope: true, Flags: true, UID: true, InternalDate: true,
		RFC822Size: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{section},
		ModSeq: true}).Collect()
	if err != nil || len(msgs) != 3 {
		t.Fatalf("fetch: %d %v", len(msgs), err)
	}
	for i, m := range msgs {
		if got := m.FindBodySection(section); !bytes.Equal(got, []byte(sample(i))) || m.RFC822Size != int64(len(got)) {
			t.Errorf("message %d came back as %q", i, got)
		}
		if m.Envelope.Subject == "" || len(m.Envelope.From) != 1 || m.ModSeq == 0 || m.UID != imap.UID(i+1) {
			t.Errorf("message %d: %+v", i, m.Envelope)
		}
	}
	if got := msgs[2].BodyStructure.MediaType(); got != "multipart/mixed" {
		t.Errorf("structure: %s", got)
	}
}

func listAll(t *testing.T, c *imapclient.Client) {
	t.Helper()
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true, Size: true}, ReturnSpecialUse: true}).Collect()
	if err != nil || len(boxes) != 5 {
		t.Fatalf("list: %v %v", boxes, err)
	}
	if boxes[0].Mailbox != "INBOX" || boxes[0].Status == nil || *boxes[0].Status.NumMessages != 3 {
		t.Errorf("list: %+v", boxes[0])
	}
}

func appendAndMove(t *testing.T, c *imapclient.Client) {
	t.Helper()
	text := []byte("Subject: new\r\n\r\nbody\r\n")
	a := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	if _, err := a.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := a.Wait()
	if err != nil || data.UID != 4 {
		t.Fatalf("append: %+v %v", data, err)
	}
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, "$Work"}}
	msgs, err := c.Store(imap.UIDSetNum(data.UID), store, nil).Collect()
	if err != nil || len(msgs) != 1 || len(msgs[0].Flags) < 3 {
		t.Fatalf("store: %v %v", msgs, err)
	}
	moved, err := c.Move(imap.UIDSetNum(4), "Archive").Wait()
	if err != nil || moved.DestUIDs == nil {
		t.Fatalf("move: %+v %v", moved, err)
	}
	copied, err := c.Copy(imap.SeqSetNum(1, 2), "Archive").Wait()
	if err != nil || copied.DestUIDs.String() != "2:3" {
		t.Fatalf("copy: %+v %v", copied, err)
	}
	for _, err := range []error{c.Create("Ärger/1", nil).Wait(), c.Rename("Ärger/1", "Ärger/2", nil).Wait(),
		c.Subscribe("Ärger/2").Wait(), c.Delete("Ärger/2").Wait()} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
