package imap

// The base protocol is registered like any extension: what both revisions share
// belongs to IMAP4rev1, what only the second has to IMAP4rev2.
var extRev1 = &extension{name: "IMAP4rev1", rfc: "RFC 3501", early: true,
	commands: concat(anyCommands, loginCommands, mailboxCommands, listCommands, selectCommands,
		appendCommands, messageCommands),
	fetch:  concat(fetchRowItems, fetchRecordItems, fetchBodyItems),
	search: concat(searchFlagKeys, searchRowKeys, searchTextKeys),
	status: statusItems,
}

var extRev2 = &extension{name: "IMAP4rev2", rfc: "RFC 9051", early: true,
	enable: func(c *conn) { c.dia.rev2 = true },
	status: []statusItem{{"DELETED", func(dst []byte, _ *conn, m *mailboxState) []byte { return appendUint(dst, uint64(m.Deleted)) }}},
}

func concat[T any](lists ...[]T) []T {
	var all []T
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
