package directory

import (
	"encoding/binary"
	"errors"
	"strings"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A reader reads records from one consistent state of the directory.
type reader struct{ engine.Reader }

// counter reads an 8-byte number; 0 if it was never written.
func (r reader) counter(key string) (uint64, error) {
	val, err := r.Get([]byte(key))
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, engineError("directory", err)
	case len(val) != 8:
		return 0, fail(mail.Corrupt, "directory", nil, "counter %q has %d bytes", key, len(val))
	}
	return binary.BigEndian.Uint64(val), nil
}

func (r reader) version() (uint64, error) { return r.counter(versionKey) }

func (r reader) record(op string, key []byte, into any) error {
	val, err := r.Get(key)
	if err != nil {
		return engineError(op, err)
	}
	return decode(op, val, into)
}

func (r reader) domain(name mail.Domain) (Domain, error) {
	var rec domainRecord
	if err := r.record("directory.Domain", domainKey(name), &rec); err != nil {
		return Domain{}, named(err, "there is no domain %s here", name)
	}
	return rec.domain(name), nil
}

func (r reader) account(id mail.AccountID) (Account, error) {
	var rec accountRecord
	if err := r.record("directory.Account", idKey(accountPrefix, id), &rec); err != nil {
		return Account{}, named(err, "there is no account %d", id)
	}
	return rec.account(id), nil
}

func (r reader) address(a mail.Address) (addressRecord, error) {
	var rec addressRecord
	err := r.record("directory.Address", addressKey(a), &rec)
	return rec, err
}

func (r reader) accountByAddress(a mail.Address) (Account, error) {
	rec, err := r.address(a)
	if err == nil && rec.Account == 0 {
		err = fail(mail.NotFound, "directory.AccountByAddress", nil, "%s is an alias, not an account", a)
	}
	if err != nil {
		return Account{}, named(err, "there is no account %s", a)
	}
	return r.account(rec.Account)
}

func (r reader) aliasByAddress(a mail.Address) (Alias, error) {
	rec, err := r.address(a)
	if err == nil && rec.Alias == nil {
		err = fail(mail.NotFound, "directory.Alias", nil, "%s is an account, not an alias", a)
	}
	if err != nil {
		return Alias{}, named(err, "there is no alias %s", a)
	}
	return rec.Alias.alias(a.Domain), nil
}

// firstAdmin returns the admin with the lowest id that is not disabled, or 0.
func (r reader) firstAdmin() (mail.AccountID, error) {
	var found mail.AccountID
	var inner error
	prefix := []byte(adminPrefix)
	err := r.Scan(prefix, after(prefix), func(key, _ []byte) bool {
		id := mail.AccountID(binary.BigEndian.Uint64(key[len(prefix):]))
		acct, err := r.account(id)
		if inner = err; err == nil && !acct.Disabled {
			found = id
		}
		return err == nil && found == 0
	})
	if err == nil {
		err = inner
	}
	return found, engineError("directory.Resolve", err)
}

// accounts calls f with every account by ascending id.
func (r reader) accounts(f func(Account) bool) error {
	return scanRecords(r, accountPrefix, func(key string, rec accountRecord) bool {
		return f(rec.account(mail.AccountID(binary.BigEndian.Uint64([]byte(key)))))
	})
}

// aliases calls f with every alias of a domain, or of all if dom is "".
func (r reader) aliases(dom mail.Domain, f func(Alias) bool) error {
	prefix := addressPrefix
	if dom != "" {
		prefix = string(domainAddresses(dom))
	}
	return scanRecords(r, prefix, func(key string, rec addressRecord) bool {
		if rec.Alias == nil {
			return true
		}
		in := dom
		if in == "" {
			name, _, _ := strings.Cut(key, "\x00")
			in = mail.Domain(name)
		}
		return f(rec.Alias.alias(in))
	})
}

// scanRecords decodes each record under prefix and passes it on with the rest of
// its key.
func scanRecords[T any](r reader, prefix string, f func(key string, rec T) bool) error {
	var inner error
	err := r.Scan([]byte(prefix), after([]byte(prefix)), func(key, val []byte) bool {
		var rec T
		if inner = decode("directory", val, &rec); inner != nil {
			return false
		}
		return f(string(key[len(prefix):]), rec)
	})
	if inner != nil {
		return inner
	}
	return engineError("directory", err)
}

// named gives a NotFound that has no text yet the text for people.
func named(err error, format string, args ...any) error {
	var e *mail.Error
	if errors.As(err, &e) && e.Kind == mail.NotFound && e.Text == "" {
		return fail(mail.NotFound, e.Op, e.Err, format, args...)
	}
	return err
}
