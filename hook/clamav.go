package hook

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"posthouse/mail"
)

// ClamAV asks clamd by INSTREAM: a message with malware is refused.
type ClamAV struct {
	Address string // host:port, or the path of its socket
}

const (
	maxAnswer = 4 << 10
	chunkSize = 64 << 10
)

// Ask implements Hook.
func (c *ClamAV) Ask(ctx context.Context, m *Message) (Verdict, error) {
	nc, end, err := dial(ctx, c.Address)
	if err != nil {
		return Verdict{}, err
	}
	defer end()
	if err := stream(nc, m.Reader()); err != nil {
		// It may have said why: a message over its StreamMaxLength.
		if answer, rerr := clamAnswer(nc); rerr == nil {
			return clamVerdict(answer)
		}
		return Verdict{}, err
	}
	answer, err := clamAnswer(nc)
	if err != nil {
		return Verdict{}, err
	}
	return clamVerdict(answer)
}

// stream sends the message in chunks with their length in front.
func stream(w io.Writer, r io.Reader) error {
	if _, err := io.WriteString(w, "zINSTREAM\x00"); err != nil {
		return err
	}
	buf := make([]byte, 4+chunkSize)
	for {
		n, err := io.ReadFull(r, buf[4:])
		binary.BigEndian.PutUint32(buf, uint32(n))
		if n > 0 {
			if _, werr := w.Write(buf[:4+n]); werr != nil {
				return werr
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			_, err = w.Write([]byte{0, 0, 0, 0})
			return err
		default:
			return err
		}
	}
}

func clamAnswer(r io.Reader) (string, error) {
	b, err := bufio.NewReader(io.LimitReader(r, maxAnswer)).ReadString(0)
	return strings.TrimRight(b, "\x00\n"), err
}

// clamVerdict reads "stream: OK" and "stream: Name FOUND"; all else is no answer.
func clamVerdict(answer string) (Verdict, error) {
	_, what, ok := strings.Cut(answer, ": ")
	if !ok {
		what = answer
	}
	if what == "OK" {
		return Verdict{Findings: []mail.Finding{{Check: "clamav", Result: "pass"}}}, nil
	}
	name, found := strings.CutSuffix(what, " FOUND")
	if !found {
		return Verdict{}, fmt.Errorf("%w: clamd says %q", errAnswer, answer)
	}
	return Verdict{Action: Reject, Reply: mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "The message holds malware: " + name},
		Findings: []mail.Finding{{Check: "clamav", Result: "fail", Text: name, Weight: 10}}}, nil
}
