package docs

import (
	"testing"

	"posthouse/jmap"
)

// The client's types are those of the server.
func TestJMAPTypes(t *testing.T) { same(t, "../../web/ui/src/jmap/model.ts", jmap.TypeScript()) }
