package main

import (
	"context"
	"fmt"
)

func startPosthouse(context.Context, string) (*peer, error) {
	return nil, fmt.Errorf("not built yet: %w", errAbsent)
}
