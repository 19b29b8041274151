package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"posthouse/admin"
	"posthouse/directory"
	"posthouse/internal/corpus"
	"posthouse/mail"
	"posthouse/smtp/wire"
	"posthouse/store"
)

const (
	demoAda      = corpus.Ada
	demoBen      = corpus.Ben
	demoPassword = corpus.DemoPassword
	demoDomain   = "demo.test"
)

// fill makes the people and their mail, unless a kept directory has them.
func (d *Demo) fill(ctx context.Context) error {
	if _, err := d.Server.dir.Domain(ctx, demoDomain); err == nil {
		return nil
	}
	others := 0
	if err := d.Server.dir.Domains(ctx, func(directory.Domain) bool { others++; return true }); err != nil {
		return err
	}
	if others > 0 {
		return fmt.Errorf("%s holds the data of another server: give the demo a directory of its own", d.dir)
	}
	call := d.Admin()
	if err := call.Call(ctx, "domain.add", admin.Named{Name: demoDomain}, &admin.Domain{}); err != nil {
		return err
	}
	for _, a := range []admin.AccountAdd{
		{Address: demoAda, Name: "Ada Lovelace", Admin: true, Password: demoPassword},
		{Address: demoBen, Name: "Ben Okri", Password: demoPassword},
	} {
		if err := call.Call(ctx, "account.add", a, &admin.Account{}); err != nil {
			return err
		}
		runtime.GC() // the next hash takes the memory of this one
	}
	now := time.Now()
	items := corpus.Demo(now)
	if d.every > 0 {
		items = append(items, corpus.Guide(demoAda, now), corpus.Guide(demoBen, now))
	}
	if err := d.fillMail(ctx, items); err != nil {
		return err
	}
	d.filled = true
	debug.FreeOSMemory() // hashing and filling took what serving does not need
	return nil
}

// fillMail puts each person's mail in place with one commit.
func (d *Demo) fillMail(ctx context.Context, items []corpus.Item) error {
	for _, who := range []string{demoAda, demoBen} {
		acct, err := d.accountOf(ctx, who)
		if err != nil {
			return err
		}
		var mine []corpus.Item
		for _, it := range items {
			if it.Account == who {
				mine = append(mine, it)
			}
		}
		if err := d.append(ctx, acct.ID, mine); err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) accountOf(ctx context.Context, who string) (directory.Account, error) {
	addr, err := wire.ParseAddress(who)
	if err != nil {
		return directory.Account{}, err
	}
	return d.Server.dir.AccountByAddress(ctx, addr)
}

func (d *Demo) append(ctx context.Context, id mail.AccountID, items []corpus.Item) (err error) {
	staged := make([]*store.Staged, len(items))
	defer func() {
		for _, st := range staged {
			if st != nil {
				err = errors.Join(err, st.Close())
			}
		}
	}()
	for i, it := range items {
		if staged[i], err = d.store.Stage(ctx); err != nil {
			return err
		}
		if _, err := staged[i].Write(it.Raw); err != nil {
			return err
		}
		if err := staged[i].Finish(); err != nil {
			return err
		}
	}
	acct, err := d.store.Account(ctx, id)
	if err != nil {
		return err
	}
	return acct.Update(ctx, func(tx *store.Tx) error {
		for i, it := range items {
			box, err := mailboxNamed(tx, it.Mailbox)
			if err != nil {
				return err
			}
			if _, err := tx.Append(box, staged[i], store.AppendOptions{Flags: it.Flags, InternalDate: it.Date}); err != nil {
				return err
			}
		}
		return nil
	})
}

// mailboxNamed returns the mailbox with this path, and makes it if need be.
func mailboxNamed(tx *store.Tx, path string) (store.MailboxID, error) {
	m, err := tx.Mailbox(path)
	if err == nil {
		return m.ID, nil
	}
	if mail.KindOf(err) != mail.NotFound {
		return 0, err
	}
	return tx.CreateMailbox(store.NewMailbox{Path: path, Subscribe: true})
}
