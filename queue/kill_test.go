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

// TestKill kills a real process with a real engine again and again, at any moment.
// What it said is durable arrives, and no more comes twice than was under way.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	const window = 20
	rounds := 15
	if os.Getenv("POSTHOUSE_LONG") != "" {
		rounds = 500
	}
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	spec := fmt.Sprintf("%s=%s %d", victimEnv, t.TempDir(), srv.Addr.Port())
	acked := map[string]bool{}
	next := 0
	for round := range rounds + 1 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), spec)
		cmd.Stderr = t.Output()
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		last := round == rounds
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
		if err := cmd.Wait(); last && err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	took := map[string]int{}
	repeated := 0
	for _, m := range srv.Messages() {
		to := strings.Trim(m.To[0], "<>")
		if took[to]++; took[to] > 1 {
			repeated++
		}
	}
	for to := range acked {
		if took[to] == 0 {
			t.Errorf("%s is lost", to)
		}
	}
	t.Logf("%d acknowledged, %d arrived, %d repeated over %d kills", len(acked), len(took), repeated, rounds)
	if repeated > rounds*window || len(acked) < rounds {
		t.Errorf("%d repeated", repeated)
	}
}
