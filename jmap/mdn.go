package jmap

import (
	"io"
	"maps"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// mdnKeyword marks what was answered with an MDN, RFC 9007 §1.2.
const mdnKeyword = "$mdnsent"

// mdnStructs are the named types of RFC 9007 §2.
var mdnStructs = wire.Structs{
	"MDN": {Name: "MDN", Members: []wire.Field{{Name: "forEmailId?", Type: "Id|null"}, {Name: "subject?", Type: "String|null"}, {Name: "textBody?", Type: "String|null"},
		{Name: "includeOriginalMessage?", Type: "Boolean"}, {Name: "reportingUA?", Type: "String|null"}, {Name: "disposition", Type: "Disposition"},
		{Name: "mdnGateway?", Type: "String|null"}, {Name: "originalRecipient?", Type: "String|null"}, {Name: "finalRecipient?", Type: "String|null"},
		{Name: "originalMessageId?", Type: "String|null"}, {Name: "error?", Type: "String[]|null"}, {Name: "extensionFields?", Type: "String[String]|null"}}},
	"Disposition": {Name: "Disposition", Members: []wire.Field{{Name: "actionMode", Type: "String"}, {Name: "sendingMode", Type: "String"}, {Name: "type", Type: "String"}}},
}

var (
	actionModes  = []string{"manual-action", "automatic-action"}
	sendingModes = []string{"mdn-sent-manually", "mdn-sent-automatically"}
	mdnTypes     = []string{"deleted", "dispatched", "displayed", "processed"}
)

func mdnMethods() []*method {
	return []*method{
		{name: "MDN/send", capability: capMDN, args: []wire.Field{{Name: "identityId", Type: "Id"}, {Name: "send", Type: "Id[MDN]"}, {Name: "onSuccessUpdateEmail?", Type: "Id[Any]"}}, do: sendMDNs},
		{name: "MDN/parse", capability: capMDN, args: []wire.Field{{Name: "blobIds", Type: "Id[]"}}, do: parseMDNs},
	}
}

// sendMDNs is MDN/send, RFC 9007 §2.1.
func sendMDNs(c *call) (wire.Object, error) {
	send, updates := c.object("send"), c.object("onSuccessUpdateEmail")
	if len(send) > c.limits.Set {
		return nil, refused("requestTooLarge", "more MDNs than maxObjectsInSet")
	}
	if c.opts.Delivery == nil {
		return nil, refused("serverUnavailable", "this server sends nothing")
	}
	for _, name := range sortedNames(send) {
		if !setsMDNSent(updates["#"+name]) {
			return nil, invalidArguments("onSuccessUpdateEmail must set keywords/" + mdnKeyword + " of " + name)
		}
	}
	var identity values
	if err := c.view(func(v *store.View) error {
		list, err := c.types["Identity"].load(c, v, []string{c.req.idOf(c.str("identityId"))})
		if err == nil && len(list) == 1 {
			identity = list[0].rec.(values)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if identity == nil {
		return nil, invalidArguments("there is no such identity")
	}
	sent, notSent, patches := wire.Object{}, wire.Object{}, map[string]any{}
	for _, name := range sortedNames(send) {
		set, id, err := c.sendMDN(send[name].(map[string]any), identity)
		if se, ok := asSetError(err); ok && err != nil {
			notSent = notSent.With(name, se.object())
			continue
		}
		if err != nil && len(sent) > 0 {
			return nil, c.partly(err)
		}
		if err != nil {
			return nil, err
		}
		sent = sent.With(name, set)
		patches[id] = updates["#"+name]
	}
	out := c.head().With("sent", orNull(sent)).With("notSent", orNull(notSent))
	if len(patches) == 0 {
		return out, nil
	}
	c.imply("Email/set", map[string]any{"accountId": c.acct.id, "update": patches})
	return out, nil
}

// setsMDNSent reports whether a patch sets the keyword.
func setsMDNSent(v any) bool {
	m, _ := v.(map[string]any)
	if m["keywords/"+mdnKeyword] == true {
		return true
	}
	all, _ := m["keywords"].(map[string]any)
	return all[mdnKeyword] == true
}

// An mdn is one that is being sent.
type mdn struct {
	given     map[string]any
	from      message.Mailbox
	to        message.Mailbox
	final     string // Final-Recipient, without its type
	messageID string // of what it answers, with brackets
	original  string // Original-Recipient as it was given
	raw       []byte // header of the original message, or all of it
}

// sendMDN sends one; in the same commit its message gets the keyword.
func (c *call) sendMDN(given map[string]any, identity values) (set wire.Object, id string, err error) {
	text, _ := given["forEmailId"].(string)
	id = c.req.idOf(text)
	m := &mdn{given: given}
	if err := m.check(); err != nil {
		return nil, id, err
	}
	var e *email
	var h *message.Header
	if err := c.view(func(v *store.View) error {
		n, ok := parseEmailID(id)
		if !ok {
			return nil
		}
		r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
		var err error
		if e, err = c.loadEmail(&r, n); err != nil || e == nil {
			return err
		}
		h, err = e.headerOf(&getter{c, v}, 0)
		return err
	}); err != nil {
		return nil, id, err
	}
	if e == nil {
		return nil, id, unfit("notFound", "there is no such email")
	}
	if err := c.fillMDN(m, e, h, identity); err != nil {
		return nil, id, err
	}
	if err := c.deliverMDN(m, e); err != nil {
		return nil, id, err
	}
	return wire.Object{{Name: "finalRecipient", Value: "rfc822; " + m.final}, {Name: "originalMessageId", Value: textOrNull(m.messageID)},
		{Name: "originalRecipient", Value: textOrNull(m.original)}, {Name: "mdnGateway", Value: nil}, {Name: "error", Value: nil}}, id, nil
}

// check looks at what the client gave.
func (m *mdn) check() error {
	d, _ := m.given["disposition"].(map[string]any)
	for name, words := range map[string][]string{"actionMode": actionModes, "sendingMode": sendingModes, "type": mdnTypes} {
		if w, _ := d[name].(string); !slices.Contains(words, w) {
			return invalidProperties("not a value of RFC 9007", "disposition/"+name)
		}
	}
	for _, name := range []string{"mdnGateway", "originalRecipient", "originalMessageId", "error"} {
		if m.given[name] != nil {
			return invalidProperties("the server sets this", name)
		}
	}
	ext, _ := m.given["extensionFields"].(map[string]any)
	if len(ext) > 50 {
		return invalidProperties("too many", "extensionFields")
	}
	for name, v := range ext {
		if text, _ := v.(string); !isFieldName(name) || len(name)+len(text) > 900 || !oneLine(text) {
			return invalidProperties("not a field", "extensionFields")
		}
	}
	for _, name := range []string{"reportingUA", "subject", "finalRecipient"} {
		if text, _ := m.given[name].(string); len(text) > 900 || !oneLine(text) {
			return invalidProperties("not one line", name)
		}
	}
	if text, _ := m.given["textBody"].(string); len(text) > 256<<10 {
		return unfit("tooLarge", "the text is too large")
	}
	return nil
}

func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// fillMDN finds out who asks and who answers.
func (c *call) fillMDN(m *mdn, e *email, h *message.Header, identity values) error {
	asks := h.Addresses("Disposition-Notification-To")
	if len(asks) != 1 || asks[0].Group || asks[0].Address.Domain == "" {
		return unfit("notFound", "the message asks for no MDN")
	}
	if e.keywords[mdnKeyword] {
		return unfit("mdnAlreadySent", "")
	}
	m.to = asks[0]
	d := m.given["disposition"].(map[string]any)
	if back := h.Addresses("Return-Path"); d["sendingMode"] == "mdn-sent-automatically" && (len(back) != 1 || back[0].Address != m.to.Address) {
		return unfit("forbidden", "it asks to answer to somebody else: a person must decide") // RFC 8098 §2.1
	}
	text, _ := identity["email"].(string)
	list := message.ParseAddresses([]byte(text), 1)
	if len(list) != 1 {
		return invalidProperties("the identity has no address", "identityId")
	}
	m.from = list[0]
	m.from.Name, _ = identity["name"].(string)
	m.final = m.from.Address.String()
	if own, _ := m.given["finalRecipient"].(string); own != "" {
		if _, after, typed := strings.Cut(own, ";"); typed {
			own = after
		}
		m.final = strings.TrimSpace(own)
	}
	for _, address := range []string{m.final, m.from.Address.String()} {
		if ok, err := c.maySendAs(address); err != nil || !ok {
			if err == nil {
				err = unfit("forbiddenFrom", "you may not send as "+address)
			}
			return err
		}
	}
	m.messageID = h.Value("Message-ID")
	if m.original = h.Value("Original-Recipient"); !strings.Contains(m.original, ";") || !oneLine(m.original) {
		m.original = ""
	}
	if m.given["includeOriginalMessage"] == true {
		b, err := e.bytes(0, e.size)
		m.raw = b
		return err
	}
	m.raw = slices.Clone(h.Raw())
	return nil
}

// build writes the message, RFC 8098 §3.
func (c *call) buildMDN(m *mdn) ([]byte, error) {
	now := c.opts.Now()
	boundary, err := message.NewBoundary(c.opts.Rand)
	if err != nil {
		return nil, err
	}
	id, err := message.NewMessageID(c.opts.Rand, now, string(m.from.Address.Domain))
	if err != nil {
		return nil, err
	}
	text, _ := m.given["textBody"].(string)
	subject, _ := m.given["subject"].(string)
	if subject == "" {
		subject = "Disposition notification"
	}
	kind := "text/rfc822-headers"
	if m.given["includeOriginalMessage"] == true {
		kind = "message/rfc822"
	}
	enc := "7bit"
	if slices.ContainsFunc(m.raw, func(b byte) bool { return b >= 0x80 }) {
		enc = "8bit"
	}
	e := message.Multipart("report", boundary, []*message.Entity{message.Text("plain", text), message.Raw("message/disposition-notification", "7bit", m.fields()),
		message.Raw(kind, enc, m.raw)}, message.Param{Name: "report-type", Value: "disposition-notification"})
	e.SetAddresses("From", m.from).SetAddresses("To", m.to).Set("Subject", subject).SetDate("Date", now).SetRaw("Message-ID", id).SetRaw("Auto-Submitted", "auto-replied")
	if m.messageID != "" {
		e.SetRaw("In-Reply-To", m.messageID).SetRaw("References", m.messageID)
	}
	return e.Append(nil), nil
}

// fields is the second part, RFC 8098 §3.1.
func (m *mdn) fields() []byte {
	var b strings.Builder
	line := func(name, v string) {
		if v != "" {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	ua, _ := m.given["reportingUA"].(string)
	d := m.given["disposition"].(map[string]any)
	line("Reporting-UA", ua)
	line("Original-Recipient", m.original)
	line("Final-Recipient", "rfc822; "+m.final)
	line("Original-Message-ID", m.messageID)
	line("Disposition", d["actionMode"].(string)+"/"+d["sendingMode"].(string)+"; "+d["type"].(string))
	ext, _ := m.given["extensionFields"].(map[string]any)
	for _, name := range sortedNames(ext) {
		line(name, ext[name].(string))
	}
	return []byte(b.String())
}

// deliverMDN sends it with a null reverse-path, RFC 8098 §3.
func (c *call) deliverMDN(m *mdn, e *email) error {
	content, err := c.buildMDN(m)
	if err != nil {
		return err
	}
	return c.sendOwn(content, mail.Address{}, m.to.Address, func(tx *store.Tx) error {
		changed, err := tx.SetEmailFlags(e.id, store.FlagChange{Op: store.FlagsAdd, Flags: []mail.Flag{mdnKeyword}})
		if err == nil && !changed {
			err = unfit("mdnAlreadySent", "")
		}
		return err
	})
}

// parseMDNs is MDN/parse, RFC 9007 §2.2.
func parseMDNs(c *call) (wire.Object, error) {
	parsed, none := wire.Object{}, []string{}
	missing, err := c.eachBlob(c.strs("blobIds"), func(v *store.View, id string, b *blob) error {
		e, err := c.parsed(id, b)
		if mail.KindOf(err) == mail.TooLarge && err != nil {
			none = append(none, id)
			return nil
		}
		if err != nil {
			return err
		}
		o, err := c.readMDN(v, e)
		if err != nil {
			return err
		}
		if o == nil {
			none = append(none, id)
		} else {
			parsed = parsed.With(id, o)
		}
		return nil
	})
	return c.head().With("parsed", orNull(parsed)).With("notParsable", orNone(none)).With("notFound", orNone(missing)), err
}

// mdnBytes is how much of each part of an MDN is read.
const mdnBytes = 64 << 10

// readMDN reads a message as an MDN; nil if it is none.
func (c *call) readMDN(v *store.View, e *email) (wire.Object, error) {
	report, textPart, original := -1, -1, false
	for i := range e.msg.Parts {
		p := &e.msg.Parts[i]
		switch {
		case p.Type == "message" && (p.Subtype == "disposition-notification" || p.Subtype == "global-disposition-notification") && report < 0:
			report = i
		case p.Type == "text" && p.Subtype == "plain" && textPart < 0:
			textPart = i
		case p.IsMessage():
			original = true
		}
	}
	if report < 0 || e.msg.Parts[0].Subtype != "report" {
		return nil, nil
	}
	raw, err := e.partText(report)
	if err != nil {
		return nil, err
	}
	h := message.ParseHeader([]byte(raw), c.opts.Message)
	d := dispositionOf(h.Value("Disposition"))
	if d == nil {
		return nil, nil
	}
	var body any
	if textPart >= 0 {
		if body, err = e.partText(textPart); err != nil {
			return nil, err
		}
	}
	top, err := e.headerOf(&getter{c, v}, 0)
	if err != nil {
		return nil, err
	}
	forEmail, err := c.answered(v, h.Value("Original-Message-ID"))
	if err != nil {
		return nil, err
	}
	known := map[string]bool{"reporting-ua": true, "mdn-gateway": true, "original-recipient": true, "final-recipient": true, "original-message-id": true, "disposition": true, "error": true}
	ext := map[string]any{}
	for name := range h.All() {
		if !known[strings.ToLower(name)] && len(ext) < 50 {
			ext[name] = h.Text(name)
		}
	}
	var more, faults any
	if len(ext) > 0 {
		more = ext
	}
	if list := h.Values("Error"); len(list) > 0 {
		faults = list
	}
	return wire.Object{{Name: "forEmailId", Value: textOrNull(forEmail)}, {Name: "subject", Value: textOrNull(top.Text("Subject"))}, {Name: "textBody", Value: body},
		{Name: "includeOriginalMessage", Value: original}, {Name: "reportingUA", Value: textOrNull(h.Text("Reporting-UA"))}, {Name: "disposition", Value: d},
		{Name: "mdnGateway", Value: textOrNull(h.Text("MDN-Gateway"))}, {Name: "originalRecipient", Value: textOrNull(h.Text("Original-Recipient"))},
		{Name: "finalRecipient", Value: textOrNull(h.Text("Final-Recipient"))}, {Name: "originalMessageId", Value: textOrNull(h.Value("Original-Message-ID"))},
		{Name: "error", Value: faults}, {Name: "extensionFields", Value: more}}, nil
}

// dispositionOf reads "manual-action/MDN-sent-manually; displayed/error", RFC 8098
// §3.2.6; nil if it is not that.
func dispositionOf(s string) map[string]any {
	mode, kind, ok := strings.Cut(strings.ToLower(s), ";")
	action, sending, ok2 := strings.Cut(strings.TrimSpace(mode), "/")
	kind, _, _ = strings.Cut(kind, "/")
	action, sending, kind = strings.TrimSpace(action), strings.TrimSpace(sending), strings.TrimSpace(kind)
	if !ok || !ok2 || !slices.Contains(actionModes, action) || !slices.Contains(sendingModes, sending) || !slices.Contains(mdnTypes, kind) {
		return nil
	}
	return map[string]any{"actionMode": action, "sendingMode": sending, "type": kind}
}

// partText returns the beginning of a part as text.
func (e *email) partText(i int) (string, error) {
	r, closer, err := e.decoded(i)
	if err != nil {
		return "", err
	}
	defer closer.Close()
	b, err := io.ReadAll(io.LimitReader(r, mdnBytes))
	return message.DecodeText(e.msg.Parts[i].Charset(), b), err
}

// answered returns the message that was sent with a Message-ID; "" if no submission
// tells.
func (c *call) answered(v *store.View, messageID string) (string, error) {
	found := ""
	if messageID == "" || c.acct.shared {
		return "", nil
	}
	err := eachSubmission(v, messageID, func(_ string, m values) bool {
		if m["messageId"] == messageID {
			id, _ := m["emailId"].(string)
			if n, ok := parseEmailID(id); ok {
				if in, err := v.Memberships(n); err == nil && len(in) > 0 {
					found = id
				}
			}
		}
		return found == ""
	})
	return found, err
}

// withStructs are all the named types.
func withStructs(more ...wire.Structs) wire.Structs {
	all := wire.Structs{}
	for _, m := range more {
		maps.Copy(all, m)
	}
	return all
}
