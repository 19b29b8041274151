package hook

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"posthouse/mail"
)

// A Milter is a mail filter that speaks Sendmail's milter protocol, version 6 (there is
// no RFC; libmilter's mfdef.h is the reference). It hears the envelope as it comes, if
// it wants to answer to that, and the rest when all of it is there.
type Milter struct {
	Address string // host:port, or the path of its socket

	silent atomic.Bool // it last said that it answers to nothing before the message
}

const (
	milterVersion = 6
	// What a milter may want (SMFIF_*): add fields, another body, add and take away
	// recipients, change fields, quarantine, another sender.
	milterActions, milterBody = 0xff, 0x02

	maxPacket  = 1 << 20
	maxReplies = 10_000 // packets in answer to one command
	bodyChunk  = 65535
)

type milterConn struct {
	r       *bufio.Reader
	w       *bufio.Writer
	skip    uint32 // steps that it does not want (SMFIP_NO*)
	refused bool   // it wants to hear of recipients that were refused (SMFIP_RCPT_REJ)
	quiet   uint32 // steps that it does not answer (SMFIP_NR_*)
	verdict Verdict
	done    bool
	to      string // whom it is asked about, if there are others
	name    string
	replace func() (io.Writer, error) // of the message; nil: its body stays
	body    io.Writer                 // what replace gave
	room    int64                     // how much more may be written to it
	ours    int                       // of the fields that it hears: those that are not the message's
	front   int                       // fields that it has put in front of all
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

	// milterRefused is SMFIP_RCPT_REJ: it hears of recipients that were refused too.
	milterRefused = uint32(0x800)

	// milterSkippable are all steps that a milter may leave out or not answer.
	milterSkippable = uint32(0x7f | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x40000 | 0x80000 | 0x80)
)

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
	offer = binary.BigEndian.AppendUint32(offer, milterActions)
	offer = binary.BigEndian.AppendUint32(offer, milterSkippable|milterRefused)
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
	c.refused = binary.BigEndian.Uint32(data[8:])&milterRefused != 0 && c.skip&stepRcpt.skip == 0
	if c.quiet = c.skip; binary.BigEndian.Uint32(data) < 4 { // it does not know DATA
		c.skip |= stepData.skip
	}
	return nil
}

// A told is one step with what it says.
type told struct {
	step   milterStep
	macros []string
	data   [][]byte
}

func (c *milterConn) each(list ...told) error {
	for _, t := range list {
		if err := c.macros(t.step, t.macros); err != nil {
			return err
		}
		if err := c.tell(t.step, t.data...); err != nil || c.done {
			return err
		}
	}
	return nil
}

// sender tells who sends the message and from where.
func (c *milterConn) sender(m *Message) error {
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
	return c.each(
		told{stepConnect, m.connectMacros(name, address), [][]byte{connect}},
		told{stepHello, m.helloMacros(), [][]byte{zero(m.Hello)}},
		told{stepMail, m.mailMacros(), pathArg(m.From, m.Params)},
	)
}

func (c *milterConn) recipient(to mail.Recipient) error {
	return c.each(told{stepRcpt, rcptMacros(to.Address, mail.Reply{}), pathArg(to.Address, rcptParams(&to))})
}

// notRecipient tells one that was refused. What it says of that changes nothing.
func (c *milterConn) notRecipient(r Refusal) error {
	if !c.refused || c.done {
		return nil
	}
	before := c.verdict
	err := c.each(told{stepRcpt, rcptMacros(r.To.Address, r.Reply), pathArg(r.To.Address, rcptParams(&r.To))})
	c.verdict, c.done = before, false
	return err
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
	c.replace, c.room, c.ours = m.Replace, 2*m.Size+extraBody, countFields(m.Prefix)
	if err := c.each(told{stepData, []string{"i", m.ID}, nil}); err != nil || c.done {
		return err
	}
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

// countFields counts the fields in whole lines of a header.
func countFields(lines []byte) (n int) {
	for line := range bytes.Lines(lines) {
		if line[0] != ' ' && line[0] != '\t' {
			n++
		}
	}
	return n
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
