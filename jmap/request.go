package jmap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"posthouse/jmap/wire"
)

// A request is one Request object of RFC 8620 §3.3 under way.
type request struct {
	using     []string
	calls     []any
	created   map[string]string // creation ids, by their name without "#"
	tell      bool              // the client gave createdIds and gets them back
	responses []response
}

// A response is one Invocation of RFC 8620 §3.2.
type response struct {
	name string
	args wire.Object
	id   string
}

// api answers POST requests, RFC 8620 §3.
func (s *Server) api(w http.ResponseWriter, r *http.Request, who *principal) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		(&requestError{"notJSON", http.StatusBadRequest, "the content type must be application/json", ""}).write(w)
		return
	}
	leave, refusal := s.enter(who, s.limits.Concurrent)
	if refusal != nil {
		refusal.write(w)
		return
	}
	defer leave()
	body, err := s.readBody(w, r, s.limits.RequestBytes)
	if err != nil {
		err.write(w)
		return
	}
	out, err := s.answer(r.Context(), who, body)
	if err != nil {
		err.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}

// readBody reads a request's body at no less than the rate of Limits.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *requestError) {
	if r.ContentLength > limit {
		return nil, overLimit("maxSizeRequest", "the request is too large")
	}
	body := s.paced(w, io.LimitReader(r.Body, limit+1))
	b, err := io.ReadAll(body)
	switch {
	case err != nil:
		return nil, &requestError{"notRequest", http.StatusBadRequest, "the request was cut off", ""}
	case int64(len(b)) > limit:
		return nil, overLimit("maxSizeRequest", "the request is too large")
	}
	return b, nil
}

// A pacedReader gives a client time for as many bytes as it has sent.
type pacedReader struct {
	r     io.Reader
	ctl   *http.ResponseController
	start time.Time
	n     int64
	rate  int64
}

// paced returns r with a deadline that moves with what arrives.
func (s *Server) paced(w http.ResponseWriter, r io.Reader) io.Reader {
	return &pacedReader{r: r, ctl: http.NewResponseController(w), start: time.Now(), rate: int64(s.limits.BodyRate)}
}

func (p *pacedReader) Read(b []byte) (int, error) {
	_ = p.ctl.SetReadDeadline(p.start.Add(30*time.Second + time.Duration(p.n/p.rate)*time.Second)) // not over a test's recorder
	n, err := p.r.Read(b)
	p.n += int64(n)
	return n, err
}

// answer runs a request and returns the Response object.
func (s *Server) answer(ctx context.Context, who *principal, body []byte) ([]byte, *requestError) {
	o, refusal := s.parse(body)
	if refusal != nil {
		return nil, refusal
	}
	req, refusal := s.decode(o)
	if refusal != nil {
		return nil, refusal
	}
	s.run(ctx, who, req)
	return req.appendTo(make([]byte, 0, 4096), s.sessionState(ctx, who)), nil
}

// parse reads the JSON of a request, an object.
func (s *Server) parse(body []byte) (map[string]any, *requestError) {
	v, err := wire.Parse(body, wire.Limits{Depth: s.limits.Depth})
	o, isObject := v.(map[string]any)
	switch {
	case int64(len(body)) > s.limits.RequestBytes:
		return nil, overLimit("maxSizeRequest", "the request is too large")
	case errors.Is(err, wire.ErrTooMany):
		return nil, overLimit("maxSizeRequest", "the request holds too many values")
	case err != nil:
		return nil, &requestError{"notJSON", http.StatusBadRequest, "the request is no valid I-JSON: " + err.Error(), ""}
	case !isObject:
		return nil, &requestError{"notRequest", http.StatusBadRequest, "the request is not an object", ""}
	}
	return o, nil
}

// requestTypes are those of the members of a Request.
var requestTypes = map[string]*wire.Type{
	"using": wire.CompileType("String[]", nil), "methodCalls": wire.CompileType("Any[]", nil), "createdIds": wire.CompileType("Id[Id]|null", nil),
}

// decode checks the form of a request, RFC 8620 §3.6.1.
func (s *Server) decode(o map[string]any) (*request, *requestError) {
	bad := func(why string) (*request, *requestError) {
		return nil, &requestError{"notRequest", http.StatusBadRequest, why, ""}
	}
	for name, t := range requestTypes {
		if v := o[name]; v == nil && name != "createdIds" || v != nil && !t.Valid(v) {
			return bad(name + " is missing or not of its type")
		}
	}
	req := &request{using: stringsOf(o["using"]), calls: o["methodCalls"].([]any), created: map[string]string{}}
	if given, ok := o["createdIds"].(map[string]any); ok {
		req.tell = true
		for k, v := range given {
			req.created[k], _ = v.(string)
		}
	}
	for _, c := range req.calls {
		inv, _ := c.([]any)
		if len(inv) != 3 {
			return bad("a method call is not an array of three")
		}
		_, isName := inv[0].(string)
		_, isArgs := inv[1].(map[string]any)
		if _, isID := inv[2].(string); !isName || !isArgs || !isID {
			return bad("a method call is not name, arguments and id")
		}
	}
	for _, u := range req.using {
		if !slices.Contains(allCapabilities, u) {
			return nil, &requestError{"unknownCapability", http.StatusBadRequest, fmt.Sprintf("the server does not support %q", u), ""}
		}
	}
	if len(req.calls) > s.limits.Calls {
		return nil, overLimit("maxCallsInRequest", "too many method calls")
	}
	return req, nil
}

// run does the calls in order.
func (s *Server) run(ctx context.Context, who *principal, req *request) {
	for _, c := range req.calls {
		inv := c.([]any)
		name, id := inv[0].(string), inv[2].(string)
		one := &call{Server: s, ctx: ctx, who: who, req: req, id: id}
		out, err := one.invoke(name, inv[1].(map[string]any))
		if err != nil {
			e, internal := asMethodError(err)
			if internal {
				s.failed(ctx, "jmap: method failed", "method", name, "account", uint64(who.account.ID), "err", err)
			}
			req.responses = append(req.responses, response{"error", e.object(), id})
			continue
		}
		req.responses = append(req.responses, response{name, out, id})
		req.responses = append(req.responses, one.implied...)
	}
}

// failed reports what should not have happened; what came of a client that went away, in
// a whisper.
func (s *Server) failed(ctx context.Context, what string, args ...any) {
	level := slog.LevelError
	if ctx.Err() != nil {
		level = slog.LevelDebug
	}
	s.log.Log(context.WithoutCancel(ctx), level, what, args...)
}

// invoke does one call.
func (c *call) invoke(name string, args map[string]any) (out wire.Object, err error) {
	defer func() {
		for _, f := range c.cleanup {
			f()
		}
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("panic: %v", p)
			c.panicked(p)
		}
	}()
	m := c.methods[name]
	if m == nil || !slices.Contains(c.req.using, m.capability) {
		return nil, refused("unknownMethod", "")
	}
	if err := c.ctx.Err(); err != nil {
		return nil, refused("serverUnavailable", "")
	}
	c.method = m
	if c.args, err = c.req.resolve(args); err != nil {
		return nil, err
	}
	if err := c.bind(); err != nil {
		return nil, err
	}
	return m.do(c)
}

// resolve replaces result references by what they point to, RFC 8620 §3.7.
func (req *request) resolve(args map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(args))
	for name, v := range args {
		plain, isRef := strings.CutPrefix(name, "#")
		if !isRef {
			out[name] = v
			continue
		}
		if _, both := args[plain]; both {
			return nil, invalidArguments(fmt.Sprintf("%q is given twice", plain))
		}
		r, err := req.referred(v)
		if err != nil {
			return nil, err
		}
		out[plain] = r
	}
	return out, nil
}

func (req *request) referred(v any) (any, error) {
	ref, _ := v.(map[string]any)
	of, isOf := ref["resultOf"].(string)
	name, isName := ref["name"].(string)
	path, isPath := ref["path"].(string)
	if !isOf || !isName || !isPath {
		return nil, invalidArguments("a reference is not resultOf, name and path")
	}
	for _, r := range req.responses {
		if r.id != of {
			continue
		}
		if r.name != name {
			break
		}
		if got, ok := wire.Pointer(r.args, path); ok {
			return got, nil
		}
		break
	}
	return nil, refused("invalidResultReference", "")
}

func (req *request) appendTo(dst []byte, sessionState string) []byte {
	dst = append(dst, `{"methodResponses":[`...)
	for i, r := range req.responses {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(append(dst, '['), r.name)
		dst = wire.Append(append(dst, ','), r.args)
		dst = append(wire.AppendString(append(dst, ','), r.id), ']')
	}
	dst = append(dst, ']')
	if req.tell {
		dst = wire.Append(append(dst, `,"createdIds":`...), req.created)
	}
	dst = wire.AppendString(append(dst, `,"sessionState":`...), sessionState)
	return append(dst, '}')
}

// idOf resolves what may be a reference to a creation, RFC 8620 §5.3; "" if it names
// nothing.
func (req *request) idOf(s string) string {
	if name, isRef := strings.CutPrefix(s, "#"); isRef {
		return req.created[name]
	}
	return s
}
