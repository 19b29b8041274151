package s3test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/internal/s3"
)

func TestClient(t *testing.T) {
	s := New(t)
	c := s.Client
	ctx := t.Context()
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
		if err := c.Put(ctx, n, b, s3.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	for direct, want := range map[bool][]string{true: {"2", "d/", "e/", "f", "ü&=.txt"}, false: {"2", "d/1", "d/2", "e/3", "f", "ü&=.txt"}} {
		got, err := c.List(ctx, "a b+c/", direct)
		var names []string
		for _, o := range got {
			names = append(names, o.Name)
			if !strings.HasSuffix(o.Name, "/") && (o.Size == 0 || time.Since(o.At).Abs() > time.Hour) {
				t.Errorf("%+v", o)
			}
		}
		slices.Sort(names)
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("List: %q, %v", names, err)
		}
	}
	for _, r := range []struct {
		off, n int64
		want   string
	}{{0, 99, "content of top"}, {8, 6, "of top"}, {8, 2, "of"}, {14, 5, ""}} {
		b := make([]byte, r.n)
		n, err := c.Get(ctx, "top", b, r.off)
		if err != nil || string(b[:n]) != r.want {
			t.Errorf("Get from %d, %d bytes: %q, %v", r.off, r.n, b[:n], err)
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
	if err := c.Put(ctx, "x", nil, s3.Condition{}); err == nil {
		t.Error("a store that always fails takes objects")
	}
	s.Fail = nil
	c.Secret = "guessed"
	if err := c.Put(ctx, "x", nil, s3.Condition{}); err == nil || strings.Contains(err.Error(), c.Secret) {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestConditions wants one of two writers refused.
func TestConditions(t *testing.T) {
	s := New(t)
	c, ctx := s.Client, t.Context()
	if err := c.Put(ctx, "k", []byte("1"), s3.Condition{Absent: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(ctx, "k", []byte("2"), s3.Condition{Absent: true}); !s3.IsConflict(err) {
		t.Errorf("put over another: %v", err)
	}
	b, etag, err := c.Read(ctx, "k", 100)
	if err != nil || string(b) != "1" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := c.Put(ctx, "k", []byte("3"), s3.Condition{ETag: etag}); err != nil {
		t.Error(err)
	}
	if err := c.Put(ctx, "k", []byte("4"), s3.Condition{ETag: etag}); !s3.IsConflict(err) {
		t.Errorf("put over a newer one: %v", err)
	}
	s.Unconditional = true
	if err := c.Put(ctx, "k", []byte("5"), s3.Condition{ETag: etag}); !s3.IsUnsupported(err) {
		t.Errorf("a store without conditions: %v", err)
	}
}

// TestFaults puts objects, small and in parts, into a store with each fault, now
// and then: what is reported as put is there, byte by byte.
func TestFaults(t *testing.T) {
	for _, f := range []struct {
		name  string
		fault int
	}{{"cut", Cut}, {"forget", Forget}, {"lie", Lie}, {"opaque", Opaque}, {"503", 503}, {"hang", Hang}} {
		t.Run(f.name, func(t *testing.T) {
			s := New(t)
			c := s.Client
			var n atomic.Int64
			every := int64(3)
			if f.fault == Hang {
				c.Stall, every = 200*time.Millisecond, 9
			}
			s.Fail = func(r *http.Request) int {
				if n.Add(1)%every == 0 {
					return f.fault
				}
				return 0
			}
			for _, size := range []int{0, 1, 5000, 64 << 10, 64<<10 + 1, 300_000} {
				want := bytes.Repeat([]byte("0123456789abc"), size/13+1)[:size]
				if err := c.Upload(t.Context(), "k", bytes.NewReader(want), int64(size)); err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if got := s.Objects()["k"]; !bytes.Equal(got, want) {
					t.Errorf("%d bytes: the store has others (%d)", size, len(got))
				}
				got := make([]byte, size+1)
				if m, err := c.Get(t.Context(), "k", got, 0); err != nil || !bytes.Equal(got[:m], want) {
					t.Errorf("%d bytes: read %d, %v", size, m, err)
				}
			}
			if f.fault != Forget && s.Uploads() > 0 {
				t.Errorf("%d uploads were never ended", s.Uploads())
			}
		})
	}
}

// TestConditionalLie wants a conditional put that was stored wrongly to be mended by
// its next try, which meets what the first one left.
func TestConditionalLie(t *testing.T) {
	s := New(t)
	c, ctx := s.Client, t.Context()
	lies := 0
	s.Fail = func(r *http.Request) int {
		if lies++; r.Method == http.MethodPut && lies == 1 {
			return Lie
		}
		return 0
	}
	if err := c.Put(ctx, "k", []byte("one"), s3.Condition{Absent: true}); err != nil || string(s.Objects()["k"]) != "one" {
		t.Errorf("%q, %v", s.Objects()["k"], err)
	}
	_, etag, err := c.Read(ctx, "k", 10)
	if err != nil {
		t.Fatal(err)
	}
	lies = 0
	if err := c.Put(ctx, "k", []byte("two"), s3.Condition{ETag: etag}); err != nil || string(s.Objects()["k"]) != "two" {
		t.Errorf("%q, %v", s.Objects()["k"], err)
	}
}
