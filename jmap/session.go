package jmap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// allCapabilities are those of the session, in its order.
var allCapabilities = []string{capCore, capMail, capSubmission, capVacation, capQuota, capBlob, capMDN, capWebSocket, capVAPID, capPosthouse}

// session answers with the Session object, RFC 8620 §2.
func (s *Server) session(w http.ResponseWriter, r *http.Request, who *principal) {
	o, err := s.sessionObject(r.Context(), who)
	if err != nil {
		s.failed(r.Context(), "jmap: session", "account", uint64(who.account.ID), "err", err)
		(&requestError{"", http.StatusServiceUnavailable, "try again later", ""}).write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(wire.Append(nil, o))
}

func (s *Server) sessionObject(ctx context.Context, who *principal) (wire.Object, error) {
	shared, err := s.sharedAccounts(ctx, who)
	if err != nil {
		return nil, err
	}
	id, name := accountID(who.account.ID), who.account.Address.String()
	all, own, primary := wire.Object{}, wire.Object{}, wire.Object{}
	for _, c := range allCapabilities {
		server, account := s.capability(c, who)
		all = all.With(c, server)
		if account != nil {
			own = own.With(c, account)
			primary = primary.With(c, id)
		}
	}
	o := wire.Object{
		{Name: "capabilities", Value: all},
		{Name: "accounts", Value: append(wire.Object{{Name: id, Value: wire.Object{{Name: "name", Value: name}, {Name: "isPersonal", Value: true},
			{Name: "isReadOnly", Value: false}, {Name: "accountCapabilities", Value: own}}}}, shared...)},
		{Name: "primaryAccounts", Value: primary},
		{Name: "username", Value: name},
		{Name: "apiUrl", Value: who.base + "/jmap/api"},
		{Name: "downloadUrl", Value: who.base + "/jmap/download/{accountId}/{blobId}/{name}?type={type}"},
		{Name: "uploadUrl", Value: who.base + "/jmap/upload/{accountId}/"},
		{Name: "eventSourceUrl", Value: who.base + "/jmap/eventsource?types={types}&closeafter={closeafter}&ping={ping}"},
	}
	h := sha256.Sum256(wire.Append(nil, o))
	return o.With("state", hex.EncodeToString(h[:6])), nil
}

// sessionState is the state of the Session object: another one whenever anything of that
// has changed for this user, as when an account of somebody else came or went.
func (s *Server) sessionState(ctx context.Context, who *principal) string {
	o, err := s.sessionObject(ctx, who)
	if err != nil {
		s.failed(ctx, "jmap: session state", "account", uint64(who.account.ID), "err", err)
		return "unknown" // the client asks for the session, and learns what is wrong
	}
	state, _ := o.Member("state")
	text, _ := state.(string)
	return text
}

// capability returns what the session says of a capability, for the server and for
// an account; nil: an account has nothing of it.
func (s *Server) capability(name string, who *principal) (server, account any) {
	l := &s.limits
	switch name {
	case capCore:
		return wire.Object{{Name: "maxSizeUpload", Value: l.UploadBytes}, {Name: "maxConcurrentUpload", Value: l.Uploads},
			{Name: "maxSizeRequest", Value: l.RequestBytes}, {Name: "maxConcurrentRequests", Value: l.Concurrent},
			{Name: "maxCallsInRequest", Value: l.Calls}, {Name: "maxObjectsInGet", Value: l.Get}, {Name: "maxObjectsInSet", Value: l.Set},
			{Name: "collationAlgorithms", Value: []string{"i;unicode-casemap"}}}, nil
	case capMail:
		sl := s.opts.Store.Limits()
		return wire.Object{}, wire.Object{{Name: "maxMailboxesPerEmail", Value: store.MaxMemberships}, {Name: "maxMailboxDepth", Value: sl.MailboxDepth},
			{Name: "maxSizeMailboxName", Value: sl.MailboxNameBytes}, {Name: "maxSizeAttachmentsPerEmail", Value: sl.MessageBytes},
			{Name: "emailQuerySortOptions", Value: emailSortNames()}, {Name: "mayCreateTopLevelMailbox", Value: true}}
	case capSubmission:
		return wire.Object{}, wire.Object{{Name: "maxDelayedSend", Value: int64(l.MaxDelayedSend.Seconds())},
			{Name: "submissionExtensions", Value: wire.Object{{Name: "FUTURERELEASE", Value: []string{}}, {Name: "DSN", Value: []string{}}}}}
	case capBlob:
		return wire.Object{}, wire.Object{{Name: "maxSizeBlobSet", Value: l.UploadBytes}, {Name: "maxDataSources", Value: maxDataSources},
			{Name: "supportedTypeNames", Value: []string{"Email", "Mailbox", "Thread"}}, {Name: "supportedDigestAlgorithms", Value: digestNames()}}
	case capWebSocket:
		return wire.Object{{Name: "url", Value: webSocketURL(who.base)}, {Name: "supportsPush", Value: true}}, nil
	}
	if name == capVAPID {
		return wire.Object{{Name: "applicationServerKey", Value: s.vapidKey()}}, nil
	}
	return wire.Object{}, wire.Object{}
}

// webSocketURL is RFC 8887 §3.
func webSocketURL(base string) string { return "ws" + base[len("http"):] + "/jmap/ws" }
