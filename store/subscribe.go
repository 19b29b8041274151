package store

import (
	"slices"

	"posthouse/mail"
)

// Subscribe adds or removes a path, which need not exist, to the subscriptions.
func (tx *Tx) Subscribe(path string, on bool) error {
	if err := tx.existing("Subscribe"); err != nil {
		return err
	}
	if err := tx.owned("Subscribe"); err != nil {
		return err
	}
	st := tx.st
	if on {
		var err error
		if path, err = newPath(path, &tx.acct.store.limits); err != nil {
			return err
		}
	} else {
		path = cleanPath(path)
	}
	i, found := slices.BinarySearchFunc(st.subs, path, comparePaths)
	if found == on {
		return nil
	}
	if on {
		if len(st.subs) >= 2*tx.acct.store.limits.Mailboxes {
			return fail(mail.TooLarge, "Subscribe", "too many subscriptions")
		}
		st.subs = slices.Insert(slices.Clone(st.subs), i, path)
		tx.set(pathKey(path), []byte{formatVersion})
	} else {
		st.subs = slices.Delete(slices.Clone(st.subs), i, i+1)
		tx.remove(pathKey(path))
	}
	tx.changed = true
	if n, ok := st.search(path); ok {
		b := tx.own(st.order[n])
		b.mb.Subscribed = on
		tx.logBox(actChange, b.mb.ID)
	}
	return nil
}
