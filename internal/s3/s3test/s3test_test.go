package s3test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
)

func TestClient(t *testing.T) {
	s := New(t)
	c := s.Client
	ctx := t.Context()
	put := func(key string, b []byte) error {
		sum := sha256.Sum256(b)
		return c.Put(ctx, key, bytes.NewReader(b), int64(len(b)), hex.EncodeToString(sum[:]))
	}
	var tries atomic.Int64
	s.Fail = func(*http.Request) int { // each second request fails at first
		if tries.Add(1)%2 == 1 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	names := []string{"a b+c/ü&=.txt", "a b+c/2", "a b+c/d/1", "a b+c/d/2", "a b+c/e/3", "a b+c/f", "top", "empty"}
	for _, n := range names {
		b := []byte("content of " + n)
		if n == "empty" {
			b = nil
		}
		if err := put(n, b); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.List(ctx, "a b+c/")
	slices.Sort(got)
	if want := []string{"2", "d/", "e/", "f", "ü&=.txt"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("List: %q, %v", got, err)
	}
	for _, r := range []struct {
		off, n int64
		want   string
	}{{0, -1, "content of top"}, {8, -1, "of top"}, {8, 2, "of"}} {
		body, err := c.Get(ctx, "top", r.off, r.n)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if body.Close(); err != nil || string(b) != r.want {
			t.Errorf("Get from %d, %d bytes: %q, %v", r.off, r.n, b, err)
		}
	}
	if size, at, err := c.Stat(ctx, names[0]); err != nil || size != int64(len("content of "+names[0])) || at.IsZero() {
		t.Errorf("Stat: %d, %v, %v", size, at, err)
	}
	if err := c.Delete(ctx, "top"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Stat(ctx, "top"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of nothing: %v", err)
	}
	s.Fail = func(*http.Request) int { return http.StatusInternalServerError }
	if err := put("x", nil); err == nil {
		t.Error("a store that always fails takes objects")
	}
	s.Fail = nil
	if err := c.Put(ctx, "x", bytes.NewReader([]byte("abc")), 3, hex.EncodeToString(make([]byte, 32))); err == nil {
		t.Error("a wrong checksum is taken")
	}
	c.Secret = "guessed"
	if err := put("x", nil); err == nil {
		t.Error("a wrong secret is taken")
	}
}
