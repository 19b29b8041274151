package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"posthouse/mail"
)

// A Milter is a mail filter that speaks Sendmail's milter protocol, version 6 (there is
// no RFC; libmilter's mfdef.h is the reference). It hears the whole session in one go,
// after the fact.
type Milter struct {
	Address string // host:port, or the path of its socket
}

const (
	milterVersion = 6
	// What we offer to do (SMFIF_*): add header fields, quarantine. Changing header
	// fields is offered because many refuse to work otherwise, and is not done.
	milterAdd, milterChange, milterQuarantine = 0x01, 0x10, 0x20

	maxPacket  = 1 << 20
	maxReplies = 10_000 // packets in answer to one command
	bodyChunk  = 65535
)

type milterConn struct {
	r       *bufio.Reader
	w       *bufio.Writer
	skip    uint32 // steps that it does not want (SMFIP_NO*)
	quiet   uint32 // steps that it does not answer (SMFIP_NR_*)
	verdict Verdict
	done    bool
	ignored int    // changes that it wanted and that were not made
	to      string // whom it is asked about, if there are others
	name    string
}

// A step is one command of the session and its bits in the negotiation.
type milterStep struct {
	command     byte
	skip, quiet uint32
}

var (
	stepConnect = milterStep{'C', 0x01, 0x1000}
	stepHello   = milterStep{'H', 0x02, 0x2000}
	stepMail    = milterStep{'M', 0x04, 0x4000}
	stepRcpt    = milterStep{'R', 0x08, 0x8000}
	stepBody    = milterStep{'B', 0x10, 0x80000}
	stepHeader  = milterStep{'L', 0x20, 0x80}
	stepEOH     = milterStep{'N', 0x40, 0x40000}
	stepData    = milterStep{'T', 0x200, 0x10000}
	stepEOM     = milterStep{'E', 0, 0}

	// milterSkippable are all steps that a milter may leave out or not answer.
	milterSkippable = uint32(0x7f | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x40000 | 0x80000 | 0x80)
)

// Ask implements Hook.
func (m *Milter) Ask(ctx context.Context, msg *Message) (Verdict, error) {
	nc, end, err := dial(ctx, m.Address)
	if err != nil {
		return Verdict{}, err
	}
	defer end()
	c := &milterConn{r: bufio.NewReader(nc), w: bufio.NewWriter(nc), name: "milter"}
	if err := c.negotiate(); err != nil {
		return Verdict{}, err
	}
	if err := c.session(msg); err != nil {
		return Verdict{}, err
	}
	if c.send('Q') == nil {
		_ = c.w.Flush() // it has said what it had to say
	}
	if c.ignored > 0 {
		c.verdict.Findings = append(c.verdict.Findings, mail.Finding{Check: c.name, Result: "neutral", Text: fmt.Sprintf("%d changes that it wanted were not made", c.ignored)})
	}
	return c.verdict, nil
}

func (c *milterConn) send(command byte, parts ...[]byte) error {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:], uint32(n))
	head[4] = command
	_, err := c.w.Write(head[:])
	for _, p := range parts {
		if err == nil {
			_, err = c.w.Write(p)
		}
	}
	return err
}

func (c *milterConn) read() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxPacket {
		return 0, nil, errAnswer
	}
	data := make([]byte, n-1)
	_, err := io.ReadFull(c.r, data)
	return head[4], data, err
}

func (c *milterConn) negotiate() error {
	offer := binary.BigEndian.AppendUint32(nil, milterVersion)
	offer = binary.BigEndian.AppendUint32(offer, milterAdd|milterChange|milterQuarantine)
	offer = binary.BigEndian.AppendUint32(offer, milterSkippable)
	if err := c.send('O', offer); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	command, data, err := c.read()
	if err != nil {
		return err
	}
	if command != 'O' || len(data) < 12 || binary.BigEndian.Uint32(data) < 2 {
		return fmt.Errorf("%w: no negotiation", errAnswer)
	}
	c.skip = binary.BigEndian.Uint32(data[8:]) & milterSkippable
	if c.quiet = c.skip; binary.BigEndian.Uint32(data) < 4 { // it does not know DATA
		c.skip |= stepData.skip
	}
	return nil
}

// session tells the milter everything, until it has heard enough.
func (c *milterConn) session(m *Message) error {
	type told struct {
		step   milterStep
		macros []string
		data   [][]byte
	}
	family, address := byte('U'), ""
	if m.Remote.IsValid() {
		family, address = '4', m.Remote.Unmap().WithZone("").String()
		if m.Remote.Unmap().Is6() {
			family = '6'
		}
	}
	name := m.Name
	if name == "" {
		name = "[" + address + "]"
	}
	connect := append(zero(name), family)
	if family != 'U' {
		connect = append(append(connect, 0, 0), zero(address)...)
	}
	list := []told{
		{stepConnect, []string{"j", m.Host, "{daemon_name}", m.Host, "{client_addr}", address, "{client_name}", name}, [][]byte{connect}},
		{stepHello, nil, [][]byte{zero(m.Hello)}},
		{stepMail, []string{"i", m.ID, "{auth_authen}", m.Account, "{mail_addr}", m.From.String()}, [][]byte{zero("<" + m.From.String() + ">")}},
	}
	for _, to := range m.To {
		list = append(list, told{stepRcpt, []string{"{rcpt_addr}", to.String()}, [][]byte{zero("<" + to.String() + ">")}})
	}
	list = append(list, told{stepData, []string{"i", m.ID}, nil}) // and so, from here on, about all
	for _, t := range list {
		if c.to = ""; t.step == stepRcpt && len(m.To) > 1 {
			c.to = t.macros[1]
		}
		if err := c.macros(t.step, t.macros); err != nil {
			return err
		}
		if err := c.tell(t.step, t.data...); err != nil || c.done {
			return err
		}
	}
	return c.content(m)
}

func zero(s string) []byte { return append([]byte(strings.ReplaceAll(s, "\x00", "")), 0) }

func (c *milterConn) macros(s milterStep, pairs []string) error {
	if c.skip&s.skip != 0 || len(pairs) == 0 {
		return nil
	}
	data := []byte{s.command}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			data = append(append(data, zero(pairs[i])...), zero(pairs[i+1])...)
		}
	}
	return c.send('D', data)
}

// content sends header and body.
func (c *milterConn) content(m *Message) error {
	r := bufio.NewReaderSize(m.Reader(), bodyChunk)
	if err := c.header(r); err != nil || c.done {
		return err
	}
	if err := c.tell(stepEOH); err != nil || c.done {
		return err
	}
	buf := make([]byte, bodyChunk)
	for skip := c.skip&stepBody.skip != 0; !skip; {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			before := c.verdict
			if err := c.tell(stepBody, buf[:n]); err != nil || c.done {
				return err
			}
			skip = c.verdict.Action == skipBody
			c.verdict = before
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := c.macros(stepEOM, []string{"i", m.ID}); err != nil {
		return err
	}
	return c.tell(stepEOM)
}

// skipBody stands for SMFIR_SKIP while a body is sent.
const skipBody Action = 255

// header sends each field, unfolded lines kept, up to the empty line.
func (c *milterConn) header(r *bufio.Reader) error {
	var field []byte
	flush := func() error {
		name, value, ok := bytes.Cut(field, []byte{':'})
		field = field[:0]
		if !ok || c.done {
			return nil
		}
		value = bytes.ReplaceAll(bytes.TrimRight(value, "\r\n"), []byte("\r\n"), []byte("\n"))
		value = bytes.TrimPrefix(value, []byte(" ")) // as libmilter does without SMFIP_HDR_LEADSPC
		return c.tell(stepHeader, zero(string(name)), zero(string(value)))
	}
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 && line[0] != ' ' && line[0] != '\t' && len(field) > 0 {
			if ferr := flush(); ferr != nil {
				return ferr
			}
		}
		if err == io.EOF || string(line) == "\r\n" || string(line) == "\n" {
			if len(line) > 2 {
				field = append(field, line...)
			}
			return flush()
		}
		if err != nil {
			return err
		}
		field = append(field, line...)
	}
}

// tell sends one step and reads what it says to it.
func (c *milterConn) tell(s milterStep, data ...[]byte) error {
	if s.skip != 0 && c.skip&s.skip != 0 {
		return nil
	}
	if err := c.send(s.command, data...); err != nil {
		return err
	}
	if s.quiet != 0 && c.quiet&s.quiet != 0 {
		return nil
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	for range maxReplies {
		command, answer, err := c.read()
		if err != nil {
			return err
		}
		if end, err := c.heard(command, answer); end || err != nil {
			return err
		}
	}
	return errAnswer
}

// heard takes one answer; end says that it is the last to this step.
func (c *milterConn) heard(command byte, data []byte) (end bool, err error) {
	decide := func(a Action, r mail.Reply) (bool, error) {
		if c.to != "" && r.Code != 0 { // one of several: there is one reply, and the sender must know whose it is
			r.Text = "<" + headerSafe(c.to) + ">: " + r.Text + " (and so nobody got this message)"
		}
		c.verdict.Action, c.verdict.Reply, c.done = a, r, true
		word := map[Action]string{Reject: "fail", Defer: "temperror", Discard: "discard"}[a]
		c.verdict.Findings = append(c.verdict.Findings, mail.Finding{Check: c.name, Result: word, Text: r.Text})
		return true, nil
	}
	switch command {
	case 'c': // continue
		return true, nil
	case 'a': // accept
		c.done = true
		return true, nil
	case 's': // skip the rest of the body
		c.verdict.Action = skipBody
		return true, nil
	case 'p': // progress
		return false, nil
	case 'r':
		return decide(Reject, mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "Refused by a filter of this server"})
	case 't':
		return decide(Defer, mail.Reply{Code: 451, Enhanced: [3]uint8{4, 7, 1}, Text: "A filter of this server says: try again later"})
	case 'd':
		return decide(Discard, mail.Reply{})
	case 'y':
		r, ok := parseReply(cString(data))
		if !ok {
			return true, errAnswer
		}
		if r.Transient() {
			return decide(Defer, r)
		}
		return decide(Reject, r)
	}
	return false, c.modify(command, data)
}

// modify does what it wants changed, as far as that is possible.
func (c *milterConn) modify(command byte, data []byte) error {
	switch command {
	case 'i': // insert at an index: all stand in front here
		if len(data) < 4 {
			return errAnswer
		}
		data = data[4:]
		fallthrough
	case 'h':
		name, rest, ok := bytes.Cut(data, []byte{0})
		if !ok {
			return errAnswer
		}
		if bytes.Count(c.verdict.Header, []byte("\r\n")) < 10*maxFields {
			c.verdict.Header = append(appendField(nil, string(name), strings.TrimPrefix(cString(rest), " ")), c.verdict.Header...)
		}
	case 'q':
		c.verdict.Action = Junk
		c.verdict.Findings = append(c.verdict.Findings, mail.Finding{Check: c.name, Result: "quarantine", Text: cString(data), Weight: 5})
	case 'm', 'b', '+', '2', '-', 'e':
		c.ignored++
	default:
		return fmt.Errorf("%w: milter command %q", errAnswer, command)
	}
	return nil
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// parseReply reads "550 5.7.1 text".
func parseReply(s string) (mail.Reply, bool) {
	s = strings.TrimRight(s, "\r\n")
	var r mail.Reply
	if n, err := fmt.Sscanf(s, "%3d", &r.Code); n != 1 || err != nil || !r.Transient() && !r.Permanent() || len(s) > 2000 {
		return r, false
	}
	r.Text = strings.TrimSpace(s[3:])
	var e [3]uint8
	if n, _ := fmt.Sscanf(r.Text, "%d.%d.%d", &e[0], &e[1], &e[2]); n == 3 && int(e[0]) == r.Code/100 {
		r.Enhanced = e
		_, r.Text, _ = strings.Cut(r.Text, " ")
	}
	r.Text = headerSafe(r.Text)
	if r.Text == "" {
		r.Text = "Refused by a filter of this server"
	}
	return r, true
}
