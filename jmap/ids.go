package jmap

import (
	"strconv"
	"strings"

	"posthouse/mail"
	"posthouse/store"
)

// Ids are those that IMAP shows (RFC 8474): a letter and a number. A mailbox that is
// deleted and made anew may keep its number in the store, so its UIDVALIDITY is part
// of its id.

func accountID(id mail.AccountID) string { return "A" + strconv.FormatUint(uint64(id), 10) }
func emailID(id store.EmailID) string    { return "M" + strconv.FormatUint(uint64(id), 10) }
func threadID(id store.ThreadID) string  { return "T" + strconv.FormatUint(uint64(id), 10) }

func mailboxID(m *store.Mailbox) string {
	return "F" + strconv.FormatUint(uint64(m.ID), 10) + "-" + strconv.FormatUint(uint64(m.UIDValidity), 10)
}

// number reads an id of one letter and a number; ok is false for any other spelling.
func number(s string, letter byte) (n uint64, ok bool) {
	if len(s) < 2 || s[0] != letter || s[1] == '0' {
		return 0, false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	return n, err == nil
}

func parseEmailID(s string) (store.EmailID, bool) {
	n, ok := number(s, 'M')
	return store.EmailID(n), ok
}

func parseThreadID(s string) (store.ThreadID, bool) {
	n, ok := number(s, 'T')
	return store.ThreadID(n), ok
}

// findMailbox returns the mailbox of an id, or nil.
func findMailbox(v *store.View, s string) *store.Mailbox {
	num, validity, ok := strings.Cut(s, "-")
	n, isNumber := number(num, 'F')
	if !ok || !isNumber {
		return nil
	}
	m, err := v.MailboxByID(store.MailboxID(n))
	if err != nil || strconv.FormatUint(uint64(m.UIDValidity), 10) != validity {
		return nil
	}
	return m
}
