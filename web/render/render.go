// Package render makes what a stranger wrote fit to be shown: HTML of a message
// becomes HTML of a small known language, plain text becomes HTML.
//
// Guarantees, whatever the input:
//
//   - The output holds only elements, attributes and CSS properties of the tables of
//     this package; every attribute value is quoted and escaped, every element closed.
//   - The output names no address that is fetched without a click, but those that
//     the caller's [Options.Image] and [Options.Part] returned and inline raster images.
//   - A link opens in a new window that knows nothing of its opener, and leads by
//     http, https, mailto or tel.
//   - Nothing is drawn outside of the flow of the text: no fixed or absolute boxes.
//   - Size, depth, attributes and style rules are bounded by [Limits].
//
// The package does no I/O. It is the second of three walls: the page that shows its
// output runs in an opaque origin under a policy that forbids scripts and connections.
package render

// Limits bound what one message can cost. Zero values take the defaults.
type Limits struct {
	Bytes      int // of HTML or text that are looked at; 4 MB
	Depth      int // of nested elements; 200
	Elements   int // in all; 50,000
	Attributes int // of one element that are looked at; 64
	StyleBytes int // of style sheets in all; 256 kB
	Links      int // kept in Result.Links; 500
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		v   *int
		def int
	}{{&l.Bytes, 4 << 20}, {&l.Depth, 200}, {&l.Elements, 50_000}, {&l.Attributes, 64}, {&l.StyleBytes, 256 << 10}, {&l.Links, 500}} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
	return l
}

// Options say what the message's addresses become.
type Options struct {
	// Image returns the address under which an image of another host is shown; "":
	// it is left out and counted as blocked. nil blocks all.
	Image func(url string) string
	// Part returns the address of the part with a Content-ID, "" if there is none.
	Part func(contentID string) string
	// Inert makes links show where they lead instead of going there at once.
	Inert  bool
	Limits Limits
}

// A Result is what may be shown, and what was found on the way.
type Result struct {
	HTML     []byte
	Blocked  int       // images that Options.Image left out
	Proxied  int       // images that it let through
	Trackers []Tracker // removed, each named once
	Links    []Link    // in order
	Forms    int       // fields and buttons that were removed
	Cut      bool      // a limit was reached: not all is there
	Dark     bool      // the message says that it has colours for a dark page
}

// A Link of a message: what it shows and where it leads.
type Link struct{ Text, Target string }

// A Tracker is an image that was there to report that the message was opened.
type Tracker struct {
	Name string // of the service, or its host
	Host string
}
