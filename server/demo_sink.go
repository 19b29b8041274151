package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient"
)

// The demo's rest of the world is one server inside of this process: it has no
// address, and refuses every recipient with words that say why.

// everywhere is the Router of the demo: all mail goes to the sink.
type everywhere struct{}

// Route implements queue.Router.
func (everywhere) Route(mail.Domain) (queue.Hop, bool) {
	return queue.Hop{Host: "127.0.0.1", Port: 25, TLS: smtpclient.TLSPolicy{Mode: smtpclient.TLSNever}}, true
}

// dialSink connects to the sink, whatever the address: no socket is opened.
func dialSink(_ context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go serveSink(theirs) // ends when the queue closes its end
	return ours, nil
}

// sinkReplies are what the sink says to each command.
var sinkReplies = map[string]string{
	"EHLO": "250 nowhere", "MAIL": "250 2.1.0 OK", "RSET": "250 2.0.0 OK", "NOOP": "250 2.0.0 OK", "QUIT": "221 2.0.0 bye",
	"RCPT": "550 5.7.1 This is a demo: nothing leaves this computer. Write to ada@demo.test or ben@demo.test instead",
}

func serveSink(nc net.Conn) {
	defer nc.Close()
	if _, err := io.WriteString(nc, "220 nowhere ESMTP\r\n"); err != nil {
		return
	}
	lines := bufio.NewScanner(nc)
	for lines.Scan() {
		verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " ")
		reply, ok := sinkReplies[verb]
		if !ok {
			reply = "503 5.5.1 no"
		}
		if _, err := fmt.Fprintf(nc, "%s\r\n", reply); err != nil || verb == "QUIT" {
			return
		}
	}
}
