package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type protocol string

const (
	imapAppend  protocol = "APPEND"
	imapShared  protocol = "APPEND samebox"
	imapMulti   protocol = "MULTIAPPEND"
	lmtpDeliver protocol = "LMTP"
	smtpDeliver protocol = "SMTP"
	mxSigned    protocol = "MX, SPF DKIM DMARC"
	mxUnsigned  protocol = "MX, SPF DMARC"
	smtpSource  protocol = "MX, smtp-source"
	relay       protocol = "submission to sink"
	relayPlain  protocol = "submission to sink, unsigned"
)

// A workload is one row: connections that each send one message after the other.
type workload struct {
	proto protocol
	conns int
}

func (w workload) String() string { return fmt.Sprintf("%s %d", w.proto, w.conns) }

var workloads = []workload{
	{imapAppend, 1}, {imapAppend, 10}, {imapAppend, 100}, {imapShared, 10}, {imapMulti, 1}, {imapMulti, 10},
	{lmtpDeliver, 1}, {lmtpDeliver, 10}, {lmtpDeliver, 50}, {lmtpDeliver, 100},
	{smtpDeliver, 1}, {smtpDeliver, 10}, {smtpDeliver, 100},
	{mxSigned, 50}, {mxUnsigned, 50}, {smtpSource, 50}, {relay, 50}, {relayPlain, 50},
}

// users is to how many the mail of a row goes.
func (w workload) users() int { return max(w.conns, 20) }

const maxUsers = 100

// A client sends messages over one connection.
type client interface {
	// send gives its messages to the server and returns when they are acknowledged.
	send(n int64) error
	close()
}

// batch is how many messages a send of a row gives to the server.
func (w workload) batch() int {
	switch w.proto {
	case imapMulti:
		return 50
	case smtpSource:
		return burst
	}
	return 1
}

// connect opens connection i of a row, ready to send.
func connect(p *peer, w workload, i, size int) (client, error) {
	if w.proto == smtpSource {
		return newSource(p, w, size)
	}
	nc, err := net.DialTimeout("tcp", p.addrs[w.proto], 10*time.Second)
	if err != nil {
		return nil, err
	}
	l := &line{Conn: nc, r: bufio.NewReader(nc)}
	var c client
	switch w.proto {
	case imapAppend, imapMulti:
		c, err = newAppender(l, p, i%maxUsers, size, w.batch())
	case imapShared:
		c, err = newAppender(l, p, 0, size, 1)
	default:
		c, err = newDeliverer(l, p, w, i, size)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connection %d: %w", i, err)
	}
	return c, nil
}

// A measurement is what one peer did at one row.
type measurement struct {
	messages int64
	rate     float64       // acknowledged, and in the mailbox, a second
	cpu      time.Duration // of the server, a message
	client   time.Duration // CPU of the load generator, a message
	written  float64       // bytes by the server's processes per byte of mail
	device   float64       // bytes on the device, by anyone, per byte of mail; 0 if not known
	p50, p99 time.Duration
}

func (m measurement) String() string {
	return fmt.Sprintf("%8.0f /s  %5d µs CPU (client %3d)  %5.2f bytes/byte (device %5.2f)  p50 %v p99 %v",
		m.rate, m.cpu.Microseconds(), m.client.Microseconds(), m.written, m.device, m.p50.Round(10*time.Microsecond), m.p99.Round(10*time.Microsecond))
}

// settle is how long a server's work after the last answer still counts.
const settle = 300 * time.Millisecond

// measure lets a row run for the time given.
func measure(ctx context.Context, p *peer, w workload, size int, d time.Duration) (measurement, error) {
	clients, err := connectAll(p, w, size)
	defer closeAll(clients)
	if err != nil {
		return measurement{}, err
	}
	if _, err := drive(ctx, p, clients, w.batch()*size, effort{each: 2}); err != nil { // warm
		return measurement{}, err
	}
	before, err := readUsage(p.roots())
	if err != nil {
		return measurement{}, err
	}
	disk0, onDisk := deviceWritten(p.dir)
	client := ownCPU()
	start := time.Now()
	times, err := drive(ctx, p, clients, w.batch()*size, effort{time: d, most: maxMessages / w.batch()})
	elapsed := time.Since(start)
	client = ownCPU() - client
	if err != nil {
		return measurement{}, err
	}
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return measurement{}, ctx.Err()
	}
	after, err := readUsage(p.roots())
	if err != nil {
		return measurement{}, err
	}
	disk1, _ := deviceWritten(p.dir)
	n := int64(len(times) * w.batch())
	used, mail := after.minus(before), float64(n)*float64(size)
	m := measurement{messages: n, rate: float64(n) / elapsed.Seconds(), written: float64(used.written) / mail,
		cpu: used.cpu / time.Duration(max(n, 1)), client: client / time.Duration(max(n, 1))}
	if onDisk {
		m.device = float64(disk1-disk0) / mail
	}
	slices.Sort(times)
	if n > 0 {
		m.p50, m.p99 = times[len(times)/2], times[len(times)*99/100]
	}
	return m, nil
}

func connectAll(p *peer, w workload, size int) ([]client, error) {
	var clients []client
	conns := w.conns
	if w.proto == smtpSource {
		conns = 1 // it makes its own
	}
	for i := range conns {
		c, err := connect(p, w, i, size)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func closeAll(clients []client) {
	for _, c := range clients {
		c.close()
	}
}

// An effort says how long clients send: each a number of times, or all for a time
// and at most most times, which bounds what a fast server stores.
type effort struct {
	each, most int
	time       time.Duration
}

const maxMessages = 30_000

// drive lets all clients send, size bytes each time, and waits until all is in the
// mailboxes. It returns how long each send took to be acknowledged.
func drive(ctx context.Context, p *peer, clients []client, size int, e effort) ([]time.Duration, error) {
	var wg sync.WaitGroup
	var serial atomic.Int64
	times, errs := make([][]time.Duration, len(clients)), make([]error, len(clients))
	base, end := time.Now().UnixNano(), time.Now().Add(e.time)
	more := func(sent int) bool {
		if e.each > 0 {
			return sent < e.each
		}
		return time.Now().Before(end) && serial.Load() < int64(e.most)
	}
	for i, c := range clients {
		wg.Go(func() {
			for n := 0; more(n) && ctx.Err() == nil; n++ {
				t := time.Now()
				if errs[i] = c.send(base + serial.Add(1)); errs[i] != nil {
					return
				}
				times[i] = append(times[i], time.Since(t))
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	all := slices.Concat(times...)
	p.sent.Add(int64(len(all)) * int64(size))
	p.handed.Add(int64(len(all)))
	if p.drain == nil || ctx.Err() != nil {
		return all, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return all, p.drain(ctx)
}

// A line is a connection that is read by lines.
type line struct {
	net.Conn
	r *bufio.Reader
}

// timeout bounds each wait for a server.
const timeout = 60 * time.Second

func (l *line) say(b []byte) error {
	l.SetDeadline(time.Now().Add(timeout))
	_, err := l.Write(b)
	return err
}

// hear reads lines up to the first for which last is true, which must have the
// prefix want.
func (l *line) hear(want string, last func([]byte) bool) error {
	for {
		b, err := l.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !last(b) {
			continue
		}
		if !strings.HasPrefix(string(b), want) {
			return fmt.Errorf("the server said %q, want %q", b, want)
		}
		return nil
	}
}

// serialWidth is the number of digits of the serial in a message.
const serialWidth = 20

// message makes a message of size bytes, with CRLF, and says where the digits of
// its serial go. Its text is words, so that it compresses as mail does.
func message(size int, from, to string) (text []byte, at int) {
	rnd := rand.New(rand.NewPCG(uint64(size), uint64(len(to))))
	head := "Received: from client.example ([192.0.2.7]) by mx.bench.test with ESMTP;\r\n\tMon, 02 Mar 2026 09:30:11 +0000\r\n" +
		"From: Bench <" + from + ">\r\nTo: <" + to + ">\r\nSubject: minutes of the meeting on the harbour\r\n" +
		"Date: Mon, 02 Mar 2026 09:30:11 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nMessage-ID: <"
	text = append(text, head...)
	at = len(text)
	text = append(text, strings.Repeat("0", serialWidth)+"@client.example>\r\n\r\n"...)
	const letters = "eeeeetttaaaooiinnshrdlucmfwypvbgkjqxz"
	for col := 0; len(text) < size-2; col++ {
		switch {
		case col > 60 && rnd.IntN(6) == 0:
			text, col = append(text, "\r\n"...), 0
		case col > 0 && rnd.IntN(6) == 0:
			text = append(text, ' ')
		default:
			text = append(text, letters[rnd.IntN(len(letters))])
		}
	}
	return append(text[:size-2], "\r\n"...), at
}

// number writes n into a message.
func number(b []byte, n int64) {
	for i := serialWidth - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
