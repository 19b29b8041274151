package proxy

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// A cache keeps images for a while, so that opening a message again tells its sender
// nothing, and that many who ask for one image at once ask for it once.
type cache struct {
	most int64 // bytes in all
	keep time.Duration
	now  func() time.Time

	mu      sync.Mutex
	bytes   int64
	byURL   map[string]*list.Element // of *cached
	recent  *list.List               // the last used first
	pending map[string]*fetch
}

type cached struct {
	url   string
	image Image
	until time.Time
}

// A fetch is one under way; image and err are there when done is closed.
type fetch struct {
	done  chan struct{}
	image Image
	err   error
}

func newCache(most int64, keep time.Duration, now func() time.Time) *cache {
	return &cache{most: most, keep: keep, now: now, byURL: map[string]*list.Element{}, recent: list.New(), pending: map[string]*fetch{}}
}

// entryBytes is what an entry costs beside its image.
const entryBytes = 300

func (e *cached) cost() int64 { return int64(len(e.image.Data)+len(e.url)) + entryBytes }

// get returns the image of a URL, by get if it is not there. Errors are not kept. Whoever
// asks while it is fetched waits for that; it goes on without the one who asked first.
func (c *cache) get(ctx context.Context, url string, get func(ctx context.Context) (Image, error)) (Image, error) {
	c.mu.Lock()
	if e := c.byURL[url]; e != nil {
		if one := e.Value.(*cached); c.now().Before(one.until) {
			c.recent.MoveToFront(e)
			c.mu.Unlock()
			return one.image, nil
		}
		c.dropLocked(e)
	}
	f := c.pending[url]
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		c.pending[url] = f
		go c.fetch(context.WithoutCancel(ctx), url, f, get)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.image, f.err
	case <-ctx.Done():
		return Image{}, ctx.Err()
	}
}

func (c *cache) fetch(ctx context.Context, url string, f *fetch, get func(ctx context.Context) (Image, error)) {
	f.image, f.err = get(ctx)
	c.mu.Lock()
	delete(c.pending, url)
	if one := (&cached{url, f.image, c.now().Add(c.keep)}); f.err == nil && one.cost() <= c.most {
		c.byURL[url] = c.recent.PushFront(one)
		c.bytes += one.cost()
		for c.bytes > c.most {
			c.dropLocked(c.recent.Back())
		}
	}
	c.mu.Unlock()
	close(f.done)
}

func (c *cache) dropLocked(e *list.Element) {
	one := c.recent.Remove(e).(*cached)
	delete(c.byURL, one.url)
	c.bytes -= one.cost()
}
