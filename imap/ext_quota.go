package imap

import (
	"context"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// extQuota is QUOTA: an account is one quota root, named by its address, that all
// its mailboxes share (RFC 9208 §3.2). What domains may hold together is not told:
// it is none of its people's business.
var extQuota = &extension{name: "QUOTA", rfc: "RFC 9208",
	caps: func(c *conn, dst []byte) []byte {
		dst = append(dst, " QUOTA"...)
		for i := range quotaResources {
			dst = append(append(dst, " QUOTA=RES-"...), quotaResources[i].name...)
		}
		if c.keepsQuotas() {
			dst = append(dst, " QUOTASET"...)
		}
		return dst
	},
	commands: []command{
		{"GETQUOTA", loggedIn, tellAll, false, (*conn).quota},
		{"GETQUOTAROOT", loggedIn, tellAll, false, (*conn).quotaRoot},
		{"SETQUOTA", loggedIn, tellAll, false, (*conn).setQuota},
	},
	status: []statusItem{{"DELETED-STORAGE", func(dst []byte, _ *conn, m *mailboxState) []byte { // RFC 9208 §4.1.4; DELETED is in IMAP4rev2 too
		return appendUint(dst, uint64(m.DeletedBytes))
	}}},
}

// Quotas lets admins see and change what others may hold. Accounts are named by
// their address.
type Quotas interface {
	Quota(ctx context.Context, address string) (store.Usage, error)
	SetQuota(ctx context.Context, address string, q store.Quota) error
}

// keepsQuotas reports whether the client may use SETQUOTA.
func (c *conn) keepsQuotas() bool { return c.user.Admin && c.srv.opts.Quotas != nil }

// quotaResources are the resources of RFC 9208 §5, with how a limit is set.
var quotaResources = [...]struct {
	name string
	tell func(u *store.Usage) (used, limit int64)
	set  func(q *store.Quota, n int64)
}{
	{"STORAGE", func(u *store.Usage) (int64, int64) { return kibibytes(u.Bytes), kibibytes(u.Quota.Bytes) },
		func(q *store.Quota, n int64) { q.Bytes = min(n, 1<<52) << 10 }},
	{"MESSAGE", func(u *store.Usage) (int64, int64) { return u.Messages, u.Quota.Messages },
		func(q *store.Quota, n int64) { q.Messages = n }},
	{"MAILBOX", func(u *store.Usage) (int64, int64) { return u.Mailboxes, u.Quota.Mailboxes },
		func(q *store.Quota, n int64) { q.Mailboxes = n }},
	// Annotations count as storage, and have no limit of their own (RFC 9208 §5.4).
	{"ANNOTATION-STORAGE", func(u *store.Usage) (int64, int64) { return kibibytes(u.Annotations), kibibytes(u.Quota.Bytes) }, nil},
}

// kibibytes are the units of STORAGE, RFC 9208 §5.1.
func kibibytes(n int64) int64 { return (n + 1023) >> 10 }

// GETQUOTA, RFC 9208 §4.1.1.
func (c *conn) quota(d *wire.Decoder) error {
	d.SP()
	root := d.Astring()
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return c.sayQuota(root)
}

// GETQUOTAROOT, RFC 9208 §4.1.2: the mailbox need not exist.
func (c *conn) quotaRoot(d *wire.Decoder) error {
	d.SP()
	path := c.mailbox(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	t, err := c.target(path)
	if err != nil {
		return err
	}
	if !t.own() { // what others may hold is none of ours
		c.say("* QUOTAROOT ")
		c.out = append(c.dia.appendMailbox(c.out, path), "\r\n"...)
		return nil
	}
	c.say("* QUOTAROOT ")
	c.out = append(c.dia.appendMailbox(c.out, path), ' ')
	c.out = append(c.appendQuotaRoot(c.out, c.user.Address.String()), "\r\n"...)
	return c.sayQuota(c.user.Address.String())
}

func (c *conn) appendQuotaRoot(dst []byte, root string) []byte {
	return wire.AppendAstring(dst, root, c.dia.utf8())
}

// SETQUOTA, RFC 9208 §4.1.3: what the list does not name is unlimited.
func (c *conn) setQuota(d *wire.Decoder) error {
	d.SP()
	root := d.Astring()
	d.SP()
	var q store.Quota
	unknown := false
	d.List(func() {
		name := string(d.Word())
		d.SP()
		n := int64(d.Number64())
		for i := range quotaResources {
			if quotaResources[i].name == name && quotaResources[i].set != nil {
				if n == 0 && d.Err() == nil {
					d.Fail(no("CANNOT", "a limit of 0 is not possible here"))
				}
				quotaResources[i].set(&q, n)
				return
			}
		}
		unknown = true
	})
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	switch {
	case !c.keepsQuotas():
		return no("NOPERM", "only an administrator sets quotas")
	case unknown:
		return no("CANNOT", "no such resource")
	}
	if err := c.srv.opts.Quotas.SetQuota(c.ctx, root, q); err != nil {
		return quotaError(err)
	}
	return c.sayQuota(root)
}

// quotaError names what is missing: a mailbox it is not.
func quotaError(err error) error {
	if k := mail.KindOf(err); k == mail.NotFound || k == mail.Invalid {
		return no("NONEXISTENT", "no such quota root")
	}
	return err
}

// sayQuota writes QUOTA, RFC 9208 §4.2.1. "" is one's own root too.
func (c *conn) sayQuota(root string) error {
	own := c.user.Address.String()
	var u store.Usage
	var err error
	switch {
	case root == "" || root == own:
		root = own
		err = c.acct.View(c.ctx, func(v *store.View) error {
			u = v.Usage()
			return nil
		})
	case c.keepsQuotas():
		u, err = c.srv.opts.Quotas.Quota(c.ctx, root)
		err = quotaError(err)
	default:
		err = no("NOPERM", "no such quota root, or not yours")
	}
	if err != nil {
		return err
	}
	c.say("* QUOTA ")
	dst := append(c.appendQuotaRoot(c.out, root), " ("...)
	mark := len(dst)
	for i := range quotaResources {
		used, limit := quotaResources[i].tell(&u)
		if limit == 0 {
			continue
		}
		if len(dst) > mark {
			dst = append(dst, ' ')
		}
		dst = append(append(dst, quotaResources[i].name...), ' ')
		dst = appendUint(append(appendUint(dst, uint64(used)), ' '), uint64(limit))
	}
	c.out = append(dst, ")\r\n"...)
	return nil
}
