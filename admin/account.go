package admin

import (
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
)

// An Account is an account as operations show it.
type Account struct {
	ID             uint64 `json:"id"`
	Address        string `json:"address"`
	Name           string `json:"name"`
	Admin          bool   `json:"admin"`
	Disabled       bool   `json:"disabled"`
	Quota          int64  `json:"quota"` // bytes; 0: none
	QuotaMessages  int64  `json:"quotaMessages,omitempty"`
	QuotaMailboxes int64  `json:"quotaMailboxes,omitempty"`
	// What it may send elsewhere in a day; 0: as everybody, -1: no limit.
	SendMessages      int64     `json:"sendMessages,omitempty"`
	SendNewRecipients int64     `json:"sendNewRecipients,omitempty"`
	Created           time.Time `json:"created"`
}

func showAccount(a directory.Account) Account {
	return Account{uint64(a.ID), a.Address.String(), a.Name, a.Admin, a.Disabled,
		a.Quota.Bytes, a.Quota.Messages, a.Quota.Mailboxes, a.Send.Messages, a.Send.NewRecipients, a.Created.UTC()}
}

// mailboxes are what every new account has: its inbox and the names that mail
// programs look for, with their roles.
var mailboxes = []store.NewMailbox{
	{Path: "INBOX", Subscribe: true},
	{Path: "Drafts", Role: mail.RoleDrafts, Subscribe: true},
	{Path: "Sent", Role: mail.RoleSent, Subscribe: true},
	{Path: "Archive", Role: mail.RoleArchive, Subscribe: true},
	{Path: "Junk", Role: mail.RoleJunk, Subscribe: true},
	{Path: "Trash", Role: mail.RoleTrash, Subscribe: true},
}
