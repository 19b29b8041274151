package imap

import (
	"slices"
	"strings"
)

func upper(s string) string { return strings.ToUpper(s) }
func lower(s string) string { return strings.ToLower(s) }

func holds(list []string, s string) bool { return slices.Contains(list, s) }

// cut shortens s to n bytes.
func cut(s string, n int) string { return s[:min(n, len(s))] }
