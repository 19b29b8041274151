package store

import (
	"log/slog"

	"posthouse/mail"
)

const levelWarn = slog.LevelWarn

func accountAttr(id mail.AccountID) slog.Attr { return slog.Uint64("account", uint64(id)) }
func errAttr(err error) slog.Attr             { return slog.Any("err", err) }
