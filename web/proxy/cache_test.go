package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := newCache(4*(entryBytes+100+2), time.Hour, func() time.Time { return now })
	var asked atomic.Int32
	get := func(url string) {
		t.Helper()
		img, err := c.get(t.Context(), url, func(context.Context) (Image, error) {
			asked.Add(1)
			return Image{"image/gif", make([]byte, 100)}, nil
		})
		if err != nil || len(img.Data) != 100 {
			t.Fatal(err)
		}
	}
	expect := func(n int32) {
		t.Helper()
		if got := asked.Swap(0); got != n {
			t.Errorf("asked %d times, want %d", got, n)
		}
	}
	for range 3 {
		get("u1")
	}
	expect(1)
	for i := 2; i <= 5; i++ { // four have room: the one that was used longest ago goes
		get(fmt.Sprintf("u%d", i))
	}
	expect(4)
	get("u5")
	expect(0)
	get("u1")
	expect(1)
	now = now.Add(2 * time.Hour)
	get("u1")
	expect(1)
	if c.bytes > c.most || int(c.bytes) != len(c.byURL)*(entryBytes+102) || c.recent.Len() != len(c.byURL) {
		t.Errorf("%d bytes, %d entries", c.bytes, len(c.byURL))
	}
	big := func(context.Context) (Image, error) { return Image{"image/gif", make([]byte, 5000)}, nil }
	if _, err := c.get(t.Context(), "big", big); err != nil || c.byURL["big"] != nil {
		t.Error("what is too large is kept")
	}
	fails := func(context.Context) (Image, error) { asked.Add(1); return Image{}, errors.New("x") }
	for range 2 {
		if _, err := c.get(t.Context(), "bad", fails); err == nil {
			t.Error("no error")
		}
	}
	expect(2)
}

// Many at once make one request, and none of them ends it for the others by going.
func TestCacheTogether(t *testing.T) {
	var asked atomic.Int32
	reached, release := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			close(reached)
		}
		<-release
		_, _ = w.Write([]byte(gif))
	}))
	defer srv.Close()
	p := New(Options{Allow: func(netip.AddrPort) bool { return true }})
	gone, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := p.Fetch(gone, srv.URL)
		left <- err
	}()
	<-reached
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if img, err := p.Fetch(t.Context(), srv.URL); err != nil || img.Type != "image/gif" {
				t.Error(err)
			}
		})
	}
	close(release)
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
