package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/mail"
)

func example(text string) *Message {
	return &Message{ID: "id1", Host: "mx.demo.test", Remote: netip.MustParseAddr("192.0.2.1"), Name: "mx.far.test", Hello: "mx.far.test",
		From: mail.Address{Local: "eve", Domain: "far.test"}, To: []mail.Recipient{{Address: mail.Address{Local: "ada", Domain: "demo.test"}}},
		Prefix: []byte("Received: by mx.demo.test\r\n"), Content: strings.NewReader(text), Size: int64(len(text))}
}

// listen serves one connection after the other.
func listen(t *testing.T, serve func(nc net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			serve(nc)
			nc.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// fakeClam answers to what INSTREAM brings.
func fakeClam(answer func(message string) string) func(net.Conn) {
	return func(nc net.Conn) {
		r := bufio.NewReader(nc)
		if s, _ := r.ReadString(0); s != "zINSTREAM\x00" {
			return
		}
		var all bytes.Buffer
		for {
			var n uint32
			if binary.Read(r, binary.BigEndian, &n) != nil {
				return
			}
			if n == 0 {
				break
			}
			if _, err := io.CopyN(&all, r, int64(n)); err != nil {
				return
			}
		}
		_, _ = io.WriteString(nc, answer(all.String()))
	}
}

func TestClamAV(t *testing.T) {
	long := strings.Repeat("x", 3*chunkSize+7)
	addr := listen(t, fakeClam(func(m string) string {
		switch {
		case strings.Contains(m, "EICAR"):
			return "stream: Eicar-Signature FOUND\x00"
		case strings.Contains(m, "BROKEN"):
			return "INSTREAM size limit exceeded. ERROR\x00"
		case strings.Contains(m, "SILENT"):
			return ""
		case !strings.HasPrefix(m, "Received: by mx.demo.test\r\nSubject"):
			return "stream: Half FOUND\x00"
		}
		return "stream: OK\x00"
	}))
	c := &ClamAV{Address: addr}
	for text, want := range map[string]Action{"Subject: x\r\n\r\nhello": Pass, "Subject: x\r\n\r\n" + long: Pass, "Subject: x\r\n\r\nEICAR": Reject} {
		v, err := c.Ask(t.Context(), example(text))
		if err != nil || v.Action != want {
			t.Errorf("%.30q: %+v, %v", text, v, err)
		}
	}
	for _, text := range []string{"Subject: BROKEN\r\n\r\n", "Subject: SILENT\r\n\r\n"} {
		if v, err := c.Ask(t.Context(), example(text)); err == nil {
			t.Errorf("%q: %+v", text, v)
		}
	}
}

func TestRspamd(t *testing.T) {
	answer := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/checkv2" || r.Header.Get("IP") != "192.0.2.1" || r.Header.Get("From") != "eve@far.test" || r.Header.Get("Rcpt") != "ada@demo.test" ||
			!strings.HasSuffix(string(body), "hello") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer srv.Close()
	for _, tt := range []struct {
		answer string
		action Action
		want   string // in reply, findings or header
	}{
		{`{"action":"no action","score":-1.5,"required_score":15,"symbols":{"GOOD":{"score":-2},"BAD":{"score":0.5}}}`, Pass, "-1.50 of 15.00 GOOD(-2.00) BAD(0.50)"},
		{`{"action":"add header","score":7}`, Junk, "add header"},
		{`{"action":"greylist"}`, Pass, "greylist"},
		{`{"action":"soft reject","messages":{"smtp_message":"Come\r\nagain"}}`, Defer, "Come  again"},
		{`{"action":"reject"}`, Reject, "looks like spam"},
		{`{"action":"no action","milter":{"add_headers":{"X-A":"1","X-B":[{"value":"2\nX-Evil: 3","order":1},"4"]}},"dkim-signature":"v=1"}`, Pass,
			"DKIM-Signature: v=1\r\nX-A: 1\r\nX-B: 2\r\n\tX-Evil: 3\r\nX-B: 4\r\n"},
		{`{"action":"rewrite subject","subject":"[spam] x","milter":{"remove_headers":{"X-A":0,"X-B":[1,2],"X-C":"?"}}}`, Junk, "X-A 0 |X-B 2 |X-B 1 |Subject 1 Subject: [spam] x\r\n|"},
		{`{"action":"explode"}`, 99, ""}, {`{`, 99, ""}, {``, 99, ""},
	} {
		answer = tt.answer
		v, err := (&Rspamd{URL: srv.URL + "/"}).Ask(t.Context(), example("Subject: x\r\n\r\nhello"))
		changes := ""
		for _, c := range v.Changes {
			changes += fmt.Sprint(c.Name, " ", c.Index, " ", string(c.Line), "|")
		}
		if (err != nil) != (tt.action == 99) || err == nil && (v.Action != tt.action || !strings.Contains(v.Reply.Text+fmt.Sprint(v.Findings)+string(v.Header)+changes, tt.want)) {
			t.Errorf("%s: %+v, %v", tt.answer, v, err)
		}
	}
	if _, err := (&Rspamd{URL: srv.URL}).Ask(t.Context(), example("other")); err == nil {
		t.Error("an error of Rspamd is taken for an answer")
	}
}

// A fakeMilter answers each command with what says has for it, and keeps what it heard.
type fakeMilter struct {
	negotiate []byte // answer to O
	says      map[byte][]string
	answer    func(command string) []string // instead of says
	mu        sync.Mutex
	heard     []string
}

func packet(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func (f *fakeMilter) serve(nc net.Conn) {
	for {
		var n uint32
		if binary.Read(nc, binary.BigEndian, &n) != nil || n == 0 || n > 1<<20 {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(nc, b); err != nil {
			return
		}
		f.mu.Lock()
		f.heard = append(f.heard, string(b))
		f.mu.Unlock()
		switch b[0] {
		case 'D':
		case 'Q':
			return
		case 'O':
			_, _ = nc.Write(packet(string(f.negotiate)))
		default:
			answers := f.says[b[0]]
			if f.answer != nil {
				answers = f.answer(string(b))
			}
			if answers == nil {
				answers = []string{"c"}
			}
			for _, a := range answers {
				_, _ = nc.Write(packet(a))
			}
		}
	}
}

func negotiated(version, actions, steps uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'O'}, version)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, actions), steps)
}

func TestMilter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		says   map[byte][]string
		steps  uint32
		action Action
		want   string // in reply and header
		fails  bool
	}{
		{"content", nil, 0, Pass, "", false},
		{"skips all", nil, 0x7f | 0x200, Pass, "", false},
		{"accepts at once", map[byte][]string{'C': {"a"}}, 0, Pass, "", false},
		{"refuses the client", map[byte][]string{'C': {"r"}}, 0, Reject, "Refused by a filter", false},
		{"refuses a recipient", map[byte][]string{'R': {"y550 5.7.9 not her\x00"}}, 0, Reject, "550 5.7.9 not her", false},
		{"refuses one of two", map[byte][]string{'R': {"y550 5.7.9 not her\x00"}}, 0, Reject, "550 5.7.9 <ada@demo.test>: not her (and so nobody got this message)", false},
		{"later", map[byte][]string{'E': {"p", "p", "t"}}, 0, Defer, "451", false},
		{"says when", map[byte][]string{'E': {"y451 4.7.1 in an hour\x00"}}, 0, Defer, "451 4.7.1 in an hour", false},
		{"throws away", map[byte][]string{'N': {"d"}}, 0, Discard, "", false},
		{"quarantine", map[byte][]string{'E': {"qsmells\x00", "c"}}, 0, Junk, "", false},
		{"adds", map[byte][]string{'E': {"hX-One\x00 1\x00", "i\x00\x00\x00\x01X-Two\x002\n\tmore\x00", "hX Bad\x00 3\x00", "c"}}, 0, Pass, "X-Two: 2\r\n\tmore\r\nX-One: 1\r\n", false},
		{"adds at a place", map[byte][]string{'E': {"i\x00\x00\x00\x00X-Front\x00 1\x00", "i\x00\x00\x00\x03X-Third\x002\x00", "i\xff\xff\xff\xffX-Last\x003\x00", "i\x00\x00\x00\x04X Bad\x003\x00", "c"}}, 0, Pass,
			"X-Front: 1\r\n[]4 X-Third 2 X-Third: 2\r\n  |4 X-Last 1048575 X-Last: 3\r\n  |", false},
		{"bad parameters", map[byte][]string{'E': {"2<par@demo.test>\x00==\x00", "c"}}, 0, Pass, "its parameters for par@demo.test are not taken", false},
		{"ends the connection", map[byte][]string{'M': {"4"}}, 0, Defer, "451 4.7.1", false},
		{"fails the connection", map[byte][]string{'C': {"f"}}, 0, Defer, "451 4.7.1", false},
		{"changes", map[byte][]string{'E': {"m\x00\x00\x00\x01Subject\x00 no\x00", "m\x00\x00\x00\x02X\x00\x00", "bnew ", "bbody", "+<new@demo.test>\x00", "2<par@demo.test>\x00NOTIFY=NEVER\x00", "-<ada@demo.test>\x00", "e<> RET=FULL\x00", "c"}}, 0, Pass,
			"0 Subject 1 Subject: no\r\n  |0 X 2   |2  0  new@demo.test |2  0  par@demo.test NOTIFY=NEVER |3  0  ada@demo.test |1  0   RET=FULL |new body", false},
		{"a body without end", map[byte][]string{'E': slices.Repeat([]string{"b" + strings.Repeat("x", 1<<19)}, 4)}, 0, Pass, "", true},
		{"no address", map[byte][]string{'E': {"+<@@>\x00"}}, 0, Pass, "", true},
		{"skips the body", map[byte][]string{'B': {"s"}}, 0, Pass, "", false},
		{"nonsense", map[byte][]string{'M': {"?"}}, 0, Pass, "", true},
		{"reply of nonsense", map[byte][]string{'M': {"y250 yes\x00"}}, 0, Pass, "", true},
		{"hangs up", map[byte][]string{'B': {}}, 0, Pass, "", true},
	} {
		f := &fakeMilter{negotiate: negotiated(6, 0xff, tt.steps), says: tt.says}
		if tt.name == "hangs up" {
			f.says = map[byte][]string{'B': {strings.Repeat("x", 2<<20)}}
		}
		addr := listen(t, f.serve)
		body := strings.Repeat("0123456789", 10_000)
		m := example("Subject: a\r\n\tb\r\nX: \r\n\r\n" + body)
		if tt.name == "refuses one of two" {
			m.To = append(m.To, mail.Recipient{Address: mail.Address{Local: "ben", Domain: "demo.test"}})
		}
		var other strings.Builder
		m.Replace = func() (io.Writer, error) { return &other, nil }
		v, err := (&Milter{Address: addr}).Ask(t.Context(), m)
		changes := ""
		for _, c := range v.Changes {
			changes += fmt.Sprint(c.Kind, " ", c.Name, " ", c.Index, " ", string(c.Line), " ", c.Address, " ")
			for _, p := range c.Params {
				changes += p.Keyword + "=" + p.Value + " "
			}
			changes += "|"
		}
		if (err != nil) != tt.fails || err == nil && (v.Action != tt.action || !strings.Contains(v.Reply.String()+string(v.Header)+fmt.Sprint(v.Findings)+changes+other.String(), tt.want)) {
			t.Errorf("%s: %+v, %v", tt.name, v, err)
		}
		if tt.name != "content" {
			continue
		}
		f.mu.Lock()
		all := strings.Join(f.heard, "|")
		f.mu.Unlock()
		for _, want := range []string{"Cmx.far.test\x004\x00\x00192.0.2.1\x00|", "|Hmx.far.test\x00|", "|M<eve@far.test>\x00|", "|R<ada@demo.test>\x00|", "|T|",
			"|LReceived\x00by mx.demo.test\x00|LSubject\x00a\n\tb\x00|LX\x00\x00|N|B" + body[:100], "DMi\x00id1\x00"} {
			if !strings.Contains(all, want) {
				t.Errorf("the milter did not hear %.60q in %.900q", want, all)
			}
		}
	}
}

// Who does not answer in time costs that time and no more, and what is configured holds.
func TestSilence(t *testing.T) {
	block := make(chan struct{})
	addr := listen(t, func(nc net.Conn) {
		select {
		case <-block:
		case <-time.After(time.Minute):
		}
	})
	defer close(block)
	for _, h := range []Hook{&Milter{Address: addr}, &ClamAV{Address: addr}, &Rspamd{URL: "http://" + addr}} {
		began := time.Now()
		a := Asked{Name: "x", Hook: h, Time: 50 * time.Millisecond}
		v, err := a.Ask(t.Context(), nil, example("Subject: x\r\n\r\n"))
		if d := time.Since(began); err == nil || v.Action != Defer || d > 20*time.Second {
			t.Errorf("%T: %+v, %v after %v", h, v, err, d)
		}
		a.Open = true
		if v, err := a.Ask(t.Context(), nil, example("Subject: x\r\n\r\n")); err == nil || v.Action != Pass || v.Findings[0].Result != "temperror" {
			t.Errorf("%T: %+v", h, v)
		}
	}
	gone := Asked{Name: "x", Hook: &Milter{Address: "127.0.0.1:1"}}
	if v, err := gone.Ask(context.Background(), nil, example("")); err == nil || v.Action != Defer {
		t.Errorf("%+v, %v", v, err)
	}
}

func FuzzMilterAnswer(f *testing.F) {
	f.Add(byte('h'), []byte("X\x00y\x00"))
	f.Add(byte('y'), []byte("550 5.7.1 no\x00"))
	f.Add(byte('m'), []byte("\x00\x00\x00\x01A\x00b\r\nC: d\x00"))
	f.Add(byte('+'), []byte("<a@b.test>\x00"))
	f.Add(byte('2'), []byte("<a@b.test>\x00NOTIFY=SUCCESS ORCPT=rfc822;x\x00"))
	f.Add(byte('i'), []byte("\x00\x00\x00\x01A\x00b\r\nC: d\x00"))
	f.Fuzz(func(t *testing.T, command byte, data []byte) {
		c := milterConn{name: "milter"}
		_, _ = c.heard(command, data)
		for _, ch := range c.verdict.Changes {
			if ch.Kind == ChangeField && len(ch.Line) > 0 && (!bytes.HasSuffix(ch.Line, []byte("\r\n")) || bytes.Contains(ch.Line, []byte("\r\n\r\n"))) {
				t.Errorf("a field that breaks the header: %q", ch.Line)
			}
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(c.verdict.Header), "\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") || command == 'h' && line != "" && line[0] != ' ' && line[0] != '\t' && !strings.Contains(line, ":") {
				t.Errorf("header %q", c.verdict.Header)
			}
		}
	})
}

// A milter hears recipients one by one and refuses one of them, once for a talk; one that
// answers to nothing before the message is not begun with again.
func TestMilterTalk(t *testing.T) {
	f := &fakeMilter{negotiate: negotiated(6, 0xff, 0)}
	f.answer = func(b string) []string {
		if strings.HasPrefix(b, "R<ben@") {
			return []string{"y550 5.7.9 not him\x00"}
		}
		return []string{"c"}
	}
	a := Asked{Hook: &Milter{Address: listen(t, f.serve)}}
	m := example("Subject: a\r\n\r\nbody\r\n")
	talk, err := a.Begin(t.Context(), m)
	if err != nil || talk == nil {
		t.Fatal(talk, err)
	}
	defer talk.Close()
	for to, want := range map[string]string{"ada": "", "ben": "550 5.7.9 not him", "cleo": ""} {
		r, err := a.Recipient(t.Context(), talk, mail.Recipient{Address: mail.Address{Local: to, Domain: "demo.test"}})
		if err != nil || r.Code != 0 && r.String() != want || r.Code == 0 && want != "" {
			t.Errorf("%s: %v, %v", to, r, err)
		}
	}
	if v, err := a.Ask(t.Context(), talk, m); err != nil || v.Action != Pass {
		t.Errorf("%+v, %v", v, err)
	}
	f.mu.Lock()
	all := strings.Join(f.heard, "|")
	f.mu.Unlock()
	if strings.Count(all, "R<") != 3 || strings.Count(all, "M<") != 1 || !strings.Contains(all, "|Bbody") {
		t.Errorf("it heard %.900q", all)
	}

	quiet := &fakeMilter{negotiate: negotiated(6, 0xff, 0xf)}
	h := &Milter{Address: listen(t, quiet.serve)}
	if _, err := h.Ask(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if talk, err := h.Begin(t.Context(), m); talk != nil || err != nil {
		t.Errorf("%v, %v", talk, err)
	}
}

// What a milter says of the sender holds for each recipient and the message; and a talk
// that breaks is told again as a whole.
func TestMilterTalkEnds(t *testing.T) {
	f := &fakeMilter{negotiate: negotiated(6, 0xff, 0), says: map[byte][]string{'M': {"y554 5.7.1 not you\x00"}}}
	a := Asked{Hook: &Milter{Address: listen(t, f.serve)}}
	m := example("Subject: a\r\n\r\nbody\r\n")
	talk, err := a.Begin(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.Recipient(t.Context(), talk, m.To[0]); err != nil || r.Code != 554 {
		t.Errorf("%v, %v", r, err)
	}
	if v, err := a.Ask(t.Context(), talk, m); err != nil || v.Action != Reject {
		t.Errorf("%+v, %v", v, err)
	}
	talk.Close()

	broken := &fakeMilter{negotiate: negotiated(6, 0xff, 0)}
	first := true
	broken.answer = func(b string) []string {
		if b[0] == 'L' && first {
			first = false
			return []string{strings.Repeat("x", 2<<20)}
		}
		return []string{"c"}
	}
	a = Asked{Hook: &Milter{Address: listen(t, broken.serve)}}
	if talk, err = a.Begin(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if r, err := a.Recipient(t.Context(), talk, m.To[0]); err != nil || r.Code != 0 {
		t.Errorf("%v, %v", r, err)
	}
	if v, err := a.Ask(t.Context(), talk, m); err != nil || v.Action != Pass || first {
		t.Errorf("%+v, %v", v, err)
	}
}
