package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// A sink is the server at the other end: it takes all mail and keeps none.
type sink struct {
	net.Listener
	taken  atomic.Int64 // messages
	signed atomic.Int64 // of them, those with a DKIM signature
}

func startSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReaderSize(c, 32<<10), bufio.NewWriter(c)
	w.WriteString("220 sink.test ESMTP\r\n")
	for data, signed := false, int64(0); ; {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case data && string(line) == ".\r\n":
			s.signed.Add(signed)
			s.taken.Add(1)
			data, signed = false, 0
			w.WriteString("250 2.0.0 taken\r\n")
		case data:
			if bytes.HasPrefix(line, []byte("DKIM-Signature:")) {
				signed = 1
			}
		case bytes.HasPrefix(line, []byte("EHLO")):
			w.WriteString("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 100000000\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			data = true
			w.WriteString("354 go on\r\n")
		case bytes.HasPrefix(line, []byte("QUIT")):
			w.WriteString("221 2.0.0 bye\r\n")
			w.Flush()
			return
		default:
			w.WriteString("250 2.0.0 ok\r\n")
		}
	}
}

// wait returns when n messages have come; where they are to be signed, one without a
// signature is an error.
func (s *sink) wait(ctx context.Context, n int64, signed bool) error {
	for s.taken.Load() < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages came out: %w", s.taken.Load(), n, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	if signed && s.signed.Load() < n {
		return fmt.Errorf("%d of %d messages were signed", s.signed.Load(), n)
	}
	return nil
}
