// Package lint holds the house rules that a machine can check, as ordinary
// tests: who may import whom (layers), how large things may grow (sizes), names,
// state, doc comments and format (style), citations of RFCs, links in the
// documentation. Run it with "go test ./internal/lint"; each failure names the
// place, the rule and the way out.
//
// What is too large for now stands in exceptions.txt, whose entries may only
// shrink. The rules are explained in docs/architecture.md and CONTRIBUTING.md.
package lint
