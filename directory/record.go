package directory

import (
	"encoding/json"
	"time"

	"posthouse/mail"
)

// Records are JSON: they are few and small, people read them in a rescue, and a
// later version adds fields without moving any. Times are Unix seconds.

type addressForm struct {
	Local  string `json:"l"`
	Domain string `json:"d"`
}

func formOf(a mail.Address) addressForm { return addressForm{a.Local, string(a.Domain)} }
func (f addressForm) address() mail.Address {
	return mail.Address{Local: f.Local, Domain: mail.Domain(f.Domain)}
}

type quotaForm struct {
	Bytes     int64 `json:"bytes"`
	Messages  int64 `json:"messages"`
	Mailboxes int64 `json:"mailboxes"`
}

type domainRecord struct {
	CatchAll *addressForm `json:"catchAll,omitempty"`
	Quota    int64        `json:"quota,omitempty"`
	Default  *quotaForm   `json:"accountQuota,omitempty"`
	STS      string       `json:"mtaSTS,omitempty"`
	Created  int64        `json:"created"`
}

// An addressRecord is what an address is: one of Account and Alias.
type addressRecord struct {
	Account mail.AccountID `json:"account,omitempty"`
	Alias   *aliasRecord   `json:"alias,omitempty"`
}

type aliasRecord struct {
	ID      mail.AccountID `json:"id,omitempty"`
	Local   string         `json:"l"` // as it was written
	Targets []addressForm  `json:"targets"`
	Masked  bool           `json:"masked,omitempty"`
	Note    string         `json:"note,omitempty"`
	List    *listRecord    `json:"list,omitempty"`
	Created int64          `json:"created"`
}

type listRecord struct {
	Unsubscribe string `json:"unsubscribe,omitempty"`
	OneClick    bool   `json:"oneClick,omitempty"`
}

type accountRecord struct {
	Address  addressForm `json:"address"`
	Name     string      `json:"name,omitempty"`
	Admin    bool        `json:"admin,omitempty"`
	Disabled bool        `json:"disabled,omitempty"`
	Quota    int64       `json:"quota,omitempty"` // bytes
	Messages int64       `json:"quotaMessages,omitempty"`
	Boxes    int64       `json:"quotaMailboxes,omitempty"`
	Send     int64       `json:"sendMessages,omitempty"`
	SendNew  int64       `json:"sendNewRecipients,omitempty"`
	Created  int64       `json:"created"`
}

// credentialRecord holds the hashes of which one must match, in PHC form, and the
// SCRAM secrets of the first.
type credentialRecord struct {
	Passwords []string    `json:"passwords"`
	Proofs    []proofForm `json:"scram,omitempty"`
}

func decode(op string, val []byte, into any) error {
	if err := json.Unmarshal(val, into); err != nil {
		return fail(mail.Corrupt, op, err, "a record of the directory does not parse")
	}
	return nil
}

// encode cannot fail: the records hold strings, numbers and booleans only.
func encode(rec any) []byte {
	val, err := json.Marshal(rec)
	if err != nil {
		panic("directory: " + err.Error())
	}
	return val
}

func (r domainRecord) domain(name mail.Domain) Domain {
	d := Domain{Name: name, Quota: r.Quota, STS: r.STS, Created: time.Unix(r.Created, 0)}
	if r.Default != nil {
		q := Quota(*r.Default)
		d.Default = &q
	}
	if r.CatchAll != nil {
		d.CatchAll = r.CatchAll.address()
	}
	return d
}

func recordOfDomain(d Domain) domainRecord {
	r := domainRecord{Quota: d.Quota, STS: d.STS, Created: d.Created.Unix()}
	if d.Default != nil {
		q := quotaForm(*d.Default)
		r.Default = &q
	}
	if !d.CatchAll.IsNull() {
		f := formOf(d.CatchAll)
		r.CatchAll = &f
	}
	return r
}

func (r accountRecord) account(id mail.AccountID) Account {
	return Account{
		ID: id, Address: r.Address.address(), Name: r.Name, Admin: r.Admin, Disabled: r.Disabled,
		Quota: Quota{r.Quota, r.Messages, r.Boxes}, Send: SendLimit{r.Send, r.SendNew}, Created: time.Unix(r.Created, 0),
	}
}

func recordOfAccount(a Account) accountRecord {
	return accountRecord{
		Address: formOf(a.Address), Name: a.Name, Admin: a.Admin, Disabled: a.Disabled,
		Quota: a.Quota.Bytes, Messages: a.Quota.Messages, Boxes: a.Quota.Mailboxes, Send: a.Send.Messages, SendNew: a.Send.NewRecipients, Created: a.Created.Unix(),
	}
}

func (r aliasRecord) alias(dom mail.Domain) Alias {
	a := Alias{ID: r.ID, Address: mail.Address{Local: r.Local, Domain: dom}, Masked: r.Masked, Note: r.Note, Created: time.Unix(r.Created, 0)}
	for _, t := range r.Targets {
		a.Targets = append(a.Targets, t.address())
	}
	if l := r.List; l != nil {
		a.List = &List{l.Unsubscribe, l.OneClick}
	}
	return a
}

func recordOfAlias(a Alias) *aliasRecord {
	r := &aliasRecord{ID: a.ID, Local: a.Address.Local, Masked: a.Masked, Note: a.Note, Created: a.Created.Unix()}
	for _, t := range a.Targets {
		r.Targets = append(r.Targets, formOf(t))
	}
	if l := a.List; l != nil {
		r.List = &listRecord{l.Unsubscribe, l.OneClick}
	}
	return r
}
