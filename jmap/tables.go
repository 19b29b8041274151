package jmap

import (
	"slices"

	"posthouse/jmap/wire"
)

// structs are the named types of the data model beside its objects.
var structs = withStructs(mailStructs, mdnStructs, inviteStructs)

// mailStructs are those of mail.
var mailStructs = wire.Structs{
	"EmailAddress":      {Name: "EmailAddress", Members: []wire.Field{{Name: "name?", Type: "String|null"}, {Name: "email", Type: "String"}}},
	"EmailAddressGroup": {Name: "EmailAddressGroup", Members: []wire.Field{{Name: "name?", Type: "String|null"}, {Name: "addresses", Type: "EmailAddress[]"}}},
	"EmailBodyValue": {Name: "EmailBodyValue", Members: []wire.Field{{Name: "value", Type: "String"}, {Name: "isEncodingProblem?", Type: "Boolean"},
		{Name: "isTruncated?", Type: "Boolean"}}},
	"EmailHeader": {Name: "EmailHeader", Members: []wire.Field{{Name: "name", Type: "String"}, {Name: "value", Type: "String"}}},
	"MailboxRights": {Name: "MailboxRights", Members: []wire.Field{{Name: "mayReadItems", Type: "Boolean"}, {Name: "mayAddItems", Type: "Boolean"},
		{Name: "mayRemoveItems", Type: "Boolean"}, {Name: "maySetSeen", Type: "Boolean"}, {Name: "maySetKeywords", Type: "Boolean"},
		{Name: "mayCreateChild", Type: "Boolean"}, {Name: "mayRename", Type: "Boolean"}, {Name: "mayDelete", Type: "Boolean"}, {Name: "maySubmit", Type: "Boolean"}, {Name: "mayAdmin", Type: "Boolean"}}},
	"EmailImport": {Name: "EmailImport", Members: []wire.Field{{Name: "blobId", Type: "Id"}, {Name: "mailboxIds", Type: "Id[Boolean]"},
		{Name: "keywords?", Type: "String[Boolean]"}, {Name: "receivedAt?", Type: "UTCDate"}}},
	"PushKeys":   {Name: "PushKeys", Members: []wire.Field{{Name: "p256dh", Type: "String"}, {Name: "auth", Type: "String"}}},
	"BlobUpload": {Name: "BlobUpload", Members: []wire.Field{{Name: "data", Type: "DataSource[]"}, {Name: "type?", Type: "String|null"}}},
	"DataSource": {Name: "DataSource", Members: []wire.Field{{Name: "data:asText?", Type: "String|null"}, {Name: "data:asBase64?", Type: "String|null"},
		{Name: "blobId?", Type: "Id"}, {Name: "offset?", Type: "UnsignedInt|null"}, {Name: "length?", Type: "UnsignedInt|null"}}},
	"Verdict": {Name: "Verdict", Members: []wire.Field{{Name: "status", Type: "String"}, {Name: "domain", Type: "String|null"},
		{Name: "reasons", Type: "Reason[]"}, {Name: "findings", Type: "Finding[]"}}},
	"Reason":          {Name: "Reason", Members: []wire.Field{{Name: "code", Type: "String"}, {Name: "level", Type: "String"}, {Name: "shown", Type: "String|null"}, {Name: "real", Type: "String|null"}}},
	"Finding":         {Name: "Finding", Members: []wire.Field{{Name: "check", Type: "String"}, {Name: "result", Type: "String"}, {Name: "text", Type: "String"}}},
	"Snoozed":         {Name: "Snoozed", Members: []wire.Field{{Name: "until", Type: "UTCDate"}}},
	"Envelope":        {Name: "Envelope", Members: []wire.Field{{Name: "mailFrom", Type: "EnvelopeAddress"}, {Name: "rcptTo", Type: "EnvelopeAddress[]"}}},
	"EnvelopeAddress": {Name: "EnvelopeAddress", Members: []wire.Field{{Name: "email", Type: "String"}, {Name: "parameters?", Type: "String[String|null]|null"}}},
	"DeliveryStatus":  {Name: "DeliveryStatus", Members: []wire.Field{{Name: "smtpReply", Type: "String"}, {Name: "delivered", Type: "String"}, {Name: "displayed", Type: "String"}}},
	"EmailCopy": {Name: "EmailCopy", Members: []wire.Field{{Name: "id", Type: "Id"}, {Name: "mailboxIds", Type: "Id[Boolean]"},
		{Name: "keywords?", Type: "String[Boolean]"}, {Name: "receivedAt?", Type: "UTCDate"}}},
	"Comparator": {Name: "Comparator", Members: []wire.Field{{Name: "property", Type: "String"}, {Name: "isAscending?", Type: "Boolean"},
		{Name: "collation?", Type: "String"}, {Name: "keyword?", Type: "String"}}},
	"EmailBodyPart": {Name: "EmailBodyPart", Open: true, Members: []wire.Field{ // header:* are the others
		{Name: "partId?", Type: "String|null"}, {Name: "blobId?", Type: "Id|null"}, {Name: "size?", Type: "UnsignedInt"}, {Name: "name?", Type: "String|null"},
		{Name: "type?", Type: "String"}, {Name: "charset?", Type: "String|null"}, {Name: "disposition?", Type: "String|null"}, {Name: "cid?", Type: "String|null"},
		{Name: "language?", Type: "String[]|null"}, {Name: "location?", Type: "String|null"}, {Name: "subParts?", Type: "EmailBodyPart[]|null"}}},
}

// tables makes the types and methods, and refuses a name taken twice.
func tables() (map[string]*objectType, map[string]*method) {
	types := map[string]*objectType{}
	methods := map[string]*method{}
	list := extraMethods()
	for _, t := range objectTypes() {
		t.compile()
		types[t.name] = t
		list = append(list, t.standard()...)
	}
	for _, m := range list {
		if methods[m.name] != nil {
			panic("jmap: method twice: " + m.name)
		}
		m.compile(structs)
		methods[m.name] = m
	}
	return types, methods
}

func objectTypes() []*objectType {
	return []*objectType{mailboxType(), threadType(), emailType(), identityType(), submissionType(), vacationType(), quotaType(),
		settingsType(), contactCardType(), mutedThreadType(), loginSessionType(), jobType(), principalType(), pushSubscriptionType()}
}

func extraMethods() []*method {
	return append([]*method{
		{name: "Core/echo", capability: capCore, noAccount: true, anyArgs: true, do: echo},
		importMethod(), parseMethod(), copyMethod(), snippetMethod(), unsubscribeMethod(), recipientMethod(), suggestMethod(), importCardsMethod(), exportCardsMethod(), historyMethod(), traceMethod(), replyMethod(),
	}, slices.Concat(blobMethods(), bulkMethods(), mdnMethods())...)
}

// echo is Core/echo, RFC 8620 §4.
func echo(c *call) (wire.Object, error) {
	o := wire.Object{}
	for _, k := range sortedNames(c.args) {
		o = o.With(k, c.args[k])
	}
	return o, nil
}
