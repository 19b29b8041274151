package jmap

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// errorRows provoke each error that the server can give, by level and type: of a request
// (RFC 8620 §3.6.1), of a method (RFC 8620 §3.6.2), of a record of a /set (RFC 8620 §5.3).
// A row returns the answer, which must name the type.
var errorRows = map[string]func(r *rig) string{
	"request unknownCapability": asked(`{"using":["urn:x"],"methodCalls":[]}`),
	"request notJSON":           asked(`{"using":["a","a"`),
	"request notRequest":        asked(`{"using":[],"methodCalls":[["x"]]}`),
	"request limit":             asked(`{"using":[],"methodCalls":[` + strings.Repeat(`["a",{},"b"],`, 40) + `["a",{},"b"]]}`),

	"method unknownMethod":          call1(`["No/such",{},"c"]`),
	"method invalidArguments":       call1(`["Email/get",{"accountId":"A7","ids":3},"c"]`),
	"method invalidResultReference": call1(`["Email/get",{"accountId":"A7","#ids":{"resultOf":"x","name":"y","path":"/z"}},"c"]`),
	"method accountNotFound":        call1(`["Email/get",{"accountId":"A99","ids":[]},"c"]`),
	"method accountNotSupportedByMethod": func(r *rig) string {
		r.share("lr", "INBOX")
		return r.asBen(`["Quota/get",{"accountId":"A7"},"c"]`)
	},
	"method accountReadOnly": func(r *rig) string {
		r.share("lr", "INBOX")
		return r.asBen(`["Email/set",{"accountId":"A7"},"c"]`)
	},
	"method requestTooLarge":        call1(`["Email/set",{"accountId":"A7","destroy":["` + strings.Repeat(`a","`, 600) + `a"]},"c"]`),
	"method stateMismatch":          call1(`["Email/set",{"accountId":"A7","ifInState":"7"},"c"]`),
	"method cannotCalculateChanges": call1(`["Email/changes",{"accountId":"A7","sinceState":"999"},"c"]`),
	"method tooManyChanges": func(r *rig) string {
		state := r.call("Email/query", `{"accountId":"A7"}`)["queryState"].(string)
		r.deliver("INBOX", letter(1, ""))
		r.deliver("INBOX", letter(2, ""))
		return call1(`["Email/queryChanges",{"accountId":"A7","sinceQueryState":"` + state + `","maxChanges":1},"c"]`)(r)
	},
	"method anchorNotFound":      call1(`["Email/query",{"accountId":"A7","anchor":"M99"},"c"]`),
	"method unsupportedFilter":   call1(`["Email/query",{"accountId":"A7","filter":{"colour":"red"}},"c"]`),
	"method unsupportedSort":     call1(`["Email/query",{"accountId":"A7","sort":[{"property":"colour"}]},"c"]`),
	"method fromAccountNotFound": call1(`["Email/copy",{"accountId":"A7","fromAccountId":"A99","create":{}},"c"]`),
	"method unknownDataType":     call1(`["Blob/lookup",{"accountId":"A7","ids":[],"typeNames":["Colour"]},"c"]`),
	"method blobNotFound":        call1(`["ContactCard/import",{"accountId":"A7","blobId":"Uno"},"c"]`),
	"method tooLarge": func(r *rig) string {
		blob := r.uploadText(strings.Repeat("BEGIN:VCARD\r\nFN:x\r\nEND:VCARD\r\n", 5001))
		return call1(`["ContactCard/import",{"accountId":"A7","blobId":"` + blob + `"},"c"]`)(r)
	},
	"method notFound": call1(`["Invite/reply",{"accountId":"A7","emailId":"M99","answer":"accepted"},"c"]`),
	"method notPossible": func(r *rig) string {
		r.deliver("INBOX", letter(1, ""))
		return call1(`["Invite/reply",{"accountId":"A7","emailId":"M1","answer":"accepted"},"c"]`)(r)
	},
	"method serverUnavailable": func(r *rig) string {
		r.srv.opts.Delivery = nil
		return call1(`["MDN/send",{"accountId":"A7","identityId":"default","send":{}},"c"]`)(r)
	},
	"method serverPartialFail": func(r *rig) string { // the second of two cannot be told
		first, second := emailID(r.deliver("INBOX", asksForMDN).Email), emailID(r.deliver("INBOX", asksForMDN).Email)
		d := &failing{Directory: r.srv.opts.Directory, after: 2}
		r.srv.opts.Directory = d
		one := func(id string) string {
			return `{"forEmailId":"` + id + `","disposition":{"actionMode":"manual-action","sendingMode":"mdn-sent-manually","type":"displayed"}}`
		}
		patch := `{"keywords/$mdnsent":true}`
		return call1(`["MDN/send",{"accountId":"A7","identityId":"default","send":{"a":` + one(first) + `,"b":` + one(second) + `},"onSuccessUpdateEmail":{"#a":` + patch + `,"#b":` + patch + `}},"c"]`)(r)
	},
	"method serverFail": func(r *rig) string {
		if err := r.account(ada.ID).Update(r.t.Context(), func(tx *store.Tx) error { return tx.PutObject(store.ObjectContact, "x", []byte("{"), nil) }); err != nil {
			r.t.Fatal(err)
		}
		return call1(`["ContactCard/get",{"accountId":"A7","ids":["x"]},"c"]`)(r)
	},
	"method forbidden": func(r *rig) string { // what the store refuses and no row of a set stands for
		r.srv.methods["Test/denied"] = &method{name: "Test/denied", capability: capCore, noAccount: true, do: func(c *call) (wire.Object, error) {
			return nil, r.account(ada.ID).As(store.Principal{Account: ben.ID}).Update(c.ctx, func(tx *store.Tx) error { return tx.PutObject(store.ObjectJob, "x", nil, nil) })
		}}
		return call1(`["Test/denied",{},"c"]`)(r)
	},

	"set notFound":          call1(`["Email/set",{"accountId":"A7","destroy":["M99"]},"c"]`),
	"set forbidden":         call1(`["Email/set",{"accountId":"A7","create":{"x":{}}},"c"],["Identity/set",{"accountId":"A7","destroy":["default"]},"c"]`),
	"set invalidProperties": call1(`["Mailbox/set",{"accountId":"A7","create":{"x":{}}},"c"]`),
	"set singleton":         call1(`["Settings/set",{"accountId":"A7","create":{"x":{}}},"c"]`),
	"set invalidPatch":      call1(`["Settings/set",{"accountId":"A7","update":{"singleton":{"values/a/b":1}}},"c"]`),
	"set willDestroy": func(r *rig) string {
		r.deliver("INBOX", letter(1, ""))
		return call1(`["Email/set",{"accountId":"A7","update":{"M1":{"keywords/$seen":true}},"destroy":["M1"]},"c"]`)(r)
	},
	"set mailboxHasChild": func(r *rig) string {
		a := at(r.t, r.call("Mailbox/set", `{"accountId":"A7","create":{"a":{"name":"A"},"b":{"name":"B","parentId":"#a"}}}`), "/created/a/id").(string)
		return call1(`["Mailbox/set",{"accountId":"A7","destroy":["` + a + `"]},"c"]`)(r)
	},
	"set mailboxHasEmail": func(r *rig) string {
		r.deliver("Archive", letter(1, ""))
		return call1(`["Mailbox/set",{"accountId":"A7","destroy":["` + r.boxes()["Archive"] + `"]},"c"]`)(r)
	},
	"set blobNotFound": func(r *rig) string {
		return call1(`["Email/set",{"accountId":"A7","create":{"x":{"mailboxIds":{"` + r.boxes()["Drafts"] + `":true},"attachments":[{"blobId":"Uno","type":"text/plain"}]}}},"c"]`)(r)
	},
	"set tooManyKeywords": func(r *rig) string {
		r.deliver("INBOX", letter(1, ""))
		list := make([]string, 300)
		for i := range list {
			list[i] = fmt.Sprintf(`"k%d":true`, i)
		}
		return call1(`["Email/set",{"accountId":"A7","update":{"M1":{"keywords":{` + strings.Join(list, ",") + `}}}},"c"]`)(r)
	},
	"set tooManyMailboxes": func(r *rig) string {
		r.deliver("INBOX", letter(1, ""))
		list := make([]string, store.MaxMemberships+1)
		for i := range list {
			list[i] = fmt.Sprintf(`"m%d":{"name":"m%d"}`, i, i)
		}
		var ids []string
		for _, v := range r.call("Mailbox/set", `{"accountId":"A7","create":{`+strings.Join(list, ",")+`}}`)["created"].(map[string]any) {
			ids = append(ids, `"`+v.(map[string]any)["id"].(string)+`":true`)
		}
		return call1(`["Email/set",{"accountId":"A7","update":{"M1":{"mailboxIds":{` + strings.Join(ids, ",") + `}}}},"c"]`)(r)
	},
	"set overQuota": func(r *rig) string {
		if err := r.account(ada.ID).Update(r.t.Context(), func(tx *store.Tx) error { return tx.SetQuota(store.Quota{Messages: 1}) }); err != nil {
			r.t.Fatal(err)
		}
		r.deliver("INBOX", letter(1, ""))
		return call1(`["Email/set",{"accountId":"A7","create":{"x":{"mailboxIds":{"` + r.boxes()["Drafts"] + `":true}}}},"c"]`)(r)
	},
	"set tooLarge": call1(`["ContactCard/set",{"accountId":"A7","create":{"x":{"name":{"full":"` + strings.Repeat("x", 70_000) + `"}}}},"c"]`),

	"set forbiddenFrom":     call1(`["Identity/set",{"accountId":"A7","create":{"x":{"email":"ben@demo.test"}}},"c"]`),
	"set forbiddenMailFrom": submits(`,"envelope":{"mailFrom":{"email":"ben@demo.test"},"rcptTo":[{"email":"ben@demo.test"}]}`),
	"set noRecipients":      submits(`,"envelope":{"mailFrom":{"email":"ada@demo.test"},"rcptTo":[]}`),
	"set invalidRecipients": submits(`,"envelope":{"mailFrom":{"email":"ada@demo.test"},"rcptTo":[{"email":"nobody@demo.test"}]}`),
	"set tooManyRecipients": submits(`,"envelope":{"mailFrom":{"email":"ada@demo.test"},"rcptTo":[` + strings.Repeat(`{"email":"ben@demo.test"},`, maxRecipients) + `{"email":"ben@demo.test"}]}`),
	"set invalidEmail": func(r *rig) string {
		r.deliver("Drafts", "Subject: nobody wrote this\nTo: ben@demo.test\n\nx\n")
		return call1(`["EmailSubmission/set",{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"M1"}}},"c"]`)(r)
	},
	"set forbiddenToSend": func(r *rig) string {
		r.srv.opts.Delivery = nil
		return submits("")(r)
	},
	"set cannotUnsend": func(r *rig) string {
		_, rest, _ := strings.Cut(submits("")(r), `"created":{"s":{"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		return call1(`["EmailSubmission/set",{"accountId":"A7","update":{"` + id + `":{"undoStatus":"canceled"}}},"c"]`)(r)
	},
	"set mdnAlreadySent": func(r *rig) string {
		id := emailID(r.deliver("INBOX", asksForMDN).Email)
		r.call("MDN/send", mdnOf(id, ""))
		return call1(`["MDN/send",` + mdnOf(id, "") + `,"c"]`)(r)
	},
	"set rateLimit": func(r *rig) string {
		r.srv.opts.Delivery = r.delivery(&outbox{fail: &mail.Error{Kind: mail.Unavailable, Op: "queue", Text: "full"}})
		id := emailID(r.deliver("INBOX", strings.ReplaceAll(asksForMDN, "ben@demo.test", "grace@okafor.example")).Email)
		return call1(`["MDN/send",` + mdnOf(id, "") + `,"c"]`)(r)
	},
}

// A failing directory does not know any more who may send, after so many answers.
type failing struct {
	Directory
	after int
}

func (f *failing) MaySend(ctx context.Context, id mail.AccountID, from mail.Address) (bool, error) {
	if f.after--; f.after < 0 {
		return false, errors.New("the disk is broken")
	}
	return f.Directory.MaySend(ctx, id, from)
}

// asked sends a whole request, call1 some calls.
func asked(body string) func(*rig) string {
	return func(r *rig) string { return r.do("POST", "/jmap/api", body).Body.String() }
}

func call1(list string) func(*rig) string {
	return func(r *rig) string {
		return r.do("POST", "/jmap/api", `{"using":`+usingAll+`,"methodCalls":[`+list+`]}`).Body.String()
	}
}

// submits sends a draft.
func submits(more string) func(*rig) string {
	return func(r *rig) string {
		return call1(`["EmailSubmission/set",{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"` + r.draft("ben@demo.test") + `"` + more + `}}},"c"]`)(r)
	}
}

// Each error that stands in the source is provoked by a row, and each row names one that
// stands there.
func TestErrors(t *testing.T) {
	known := errorTypes(t)
	for name, provoke := range errorRows {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			r := newRig(t, Options{Limits: Limits{UserPerMinute: -1}})
			level, kind, _ := strings.Cut(name, " ")
			got := provoke(r)
			want := map[string]string{"request": `"type":"` + errorPrefix + kind + `"`, "method": `["error",{"type":"` + kind + `"`, "set": `:{"type":"` + kind + `"`}[level]
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %.600s", want, got)
			}
		})
	}
	rows := slices.Sorted(maps.Keys(errorRows))
	if all := slices.Sorted(maps.Keys(known)); !slices.Equal(all, rows) {
		for _, name := range all {
			if errorRows[name] == nil {
				t.Errorf("%s: no row provokes %q", known[name], name)
			}
		}
		for _, name := range rows {
			if known[name] == "" {
				t.Errorf("nothing gives %q", name)
			}
		}
	}
}

// errorTypes reads from the source which errors there are, and where.
func errorTypes(t *testing.T) map[string]string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	known, fset := map[string]string{}, token.NewFileSet()
	note := func(level string, e ast.Expr) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		if kind, err := strconv.Unquote(lit.Value); err == nil && kind != "" {
			known[level+" "+kind] = fset.Position(lit.Pos()).String()
		}
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			noteError(n, note)
			return true
		})
	}
	return known
}

// noteError finds the constructors of errors, and the tables that make them of failures.
func noteError(n ast.Node, note func(level string, e ast.Expr)) {
	name := func(e ast.Expr) string {
		id, _ := e.(*ast.Ident)
		if id == nil {
			return ""
		}
		return id.Name
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		if level := map[string]string{"refused": "method", "unfit": "set"}[name(n.Fun)]; level != "" {
			note(level, n.Args[0])
		}
	case *ast.CompositeLit:
		level := map[string]string{"requestError": "request", "methodError": "method", "setError": "set"}[name(n.Type)]
		for i, e := range n.Elts {
			kv, named := e.(*ast.KeyValueExpr)
			switch {
			case level == "":
			case named && name(kv.Key) == "kind":
				note(level, kv.Value)
			case !named && i == 0:
				note(level, e)
			}
		}
	case *ast.ValueSpec:
		level := map[string]string{"setKinds": "set", "methodKinds": "method"}[n.Names[0].Name]
		if level == "" || len(n.Values) != 1 {
			return
		}
		for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
			note(level, e.(*ast.KeyValueExpr).Value)
		}
	}
}
