package queue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
)

// victimEnv makes this test program a queue on a real engine: "dir port". It adds a
// message for each number on its standard input and says the number when the
// message is durable.
const victimEnv = "POSTHOUSE_TEST_QUEUE"

func victim(spec string) error {
	dir, port, _ := strings.Cut(spec, " ")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	ctx := context.Background()
	eng, err := local.Open(ctx, local.Options{Dir: dir})
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, queue.Options{Engine: eng, Hostname: "here.test",
		Router: queue.Routes{Smarthost: &queue.Hop{Host: "127.0.0.1", Port: uint16(n)}},
		Retry:  []time.Duration{50 * time.Millisecond}, Pause: time.Millisecond, Spread: time.Millisecond})
	if err != nil {
		return err
	}
	q.Start(nil)
	var wg sync.WaitGroup
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		to := in.Text() + "@b.test"
		wg.Go(func() {
			content := text + strings.Repeat("x", len(to)*300) + "\r\n"
			err := q.Add(ctx, envelope(to), queue.Message{Blob: &engine.Blob{Bytes: []byte(content)}, Size: int64(len(content))})
			if err == nil {
				fmt.Println(to)
			}
		})
	}
	wg.Wait()
	if err := q.Idle(ctx); err != nil {
		return err
	}
	return errors.Join(q.Check(ctx, func(p string) { fmt.Println("PROBLEM", p) }), q.Close(ctx), eng.Close())
}

// An arrivals is what a server knows of the messages that it took: who got one, and whether
// the client has gone on after the answer to the final dot, which means that it read it.
type arrivals struct {
	mu   sync.Mutex
	to   map[string][]*arrival
	last map[int]*arrival // of a connection
}

type arrival struct{ read bool }

func (a *arrivals) command(c smtptest.Command) smtptest.Reaction {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.last[c.Conn]; at != nil {
		at.read = true
		delete(a.last, c.Conn)
	}
	return smtptest.Reaction{}
}

func (a *arrivals) message(m smtptest.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, to := &arrival{}, strings.Trim(m.To[0], "<>")
	a.to[to], a.last[m.Conn] = append(a.to[to], at), at
}

// TestKill kills a real process with a real engine again and again, at any moment.
// What it said is durable arrives, and nothing comes again but what was the last on its
// connection, whose answer nobody has acted upon.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	rounds := 15
	if os.Getenv("POSTHOUSE_LONG") != "" {
		rounds = 500
	}
	seen := &arrivals{to: map[string][]*arrival{}, last: map[int]*arrival{}}
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: seen.command, OnMessage: seen.message})
	spec := fmt.Sprintf("%s=%s %d", victimEnv, t.TempDir(), srv.Addr.Port())
	acked := map[string]bool{}
	next := 0
	for round := range rounds + 1 {
		last := round == rounds
		patience := 2 * time.Minute // far more than it needs
		if last {
			patience = 8 * time.Minute // for all that the others left
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), spec)
		cmd.Stderr = t.Output()
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		if !last {
			for range 200 {
				fmt.Fprintf(in, "r%d\n", next)
				next++
			}
		} else {
			in.Close()
		}
		said := 0
		kill := 1 + rand.IntN(199)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "PROBLEM") {
				t.Error(lines.Text())
				continue
			}
			acked[lines.Text()] = true
			if said++; said == kill && !last {
				_ = cmd.Process.Signal(syscall.SIGKILL)
			}
		}
		err := cmd.Wait()
		if ctx.Err() != nil || last && err != nil {
			t.Fatalf("round %d: %v, %v", round, err, ctx.Err())
		}
		cancel()
		in.Close()
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	repeated, arrived := 0, 0
	for to, list := range seen.to {
		arrived++
		repeated += len(list) - 1
		for n, at := range list {
			if at.read && n < len(list)-1 {
				t.Errorf("%s came again although the answer to it was read", to)
			}
		}
	}
	for to := range acked {
		if len(seen.to[to]) == 0 {
			t.Errorf("%s is lost", to)
		}
	}
	t.Logf("%d acknowledged, %d arrived, %d repeated over %d kills", len(acked), arrived, repeated, rounds)
	if len(acked) < rounds {
		t.Error("nothing was tested")
	}
}
