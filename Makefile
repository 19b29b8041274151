# The two commands to know: "make demo" and "make test".
export CGO_ENABLED ?= 0
GO ?= go

.PHONY: demo build test test-long check fmt docs bench peers clean

# A server with two people and their mail, on loopback, in a temporary directory.
demo: build
	./bin/posthouse demo $(ARGS)

build:
	$(GO) build -o bin/posthouse ./cmd/posthouse

# Everything that must hold, real mail programs included. Without the cache of
# results: it does not see that tests of the whole server run a new binary.
test: peers
	$(GO) test -count=1 -timeout 15m ./...

# The same with the race detector and the long rounds (needs a C compiler).
test-long: peers
	CGO_ENABLED=1 POSTHOUSE_LONG=1 $(GO) test -count=1 -race -timeout 120m ./...

# What a change must pass before it is looked at; takes seconds.
check:
	@out="$$(gofmt -l $$(git ls-files '*.go'))"; [ -z "$$out" ] || { echo "gofmt -w needed: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) test ./internal/lint
	@if command -v staticcheck >/dev/null; then staticcheck ./...; else echo "staticcheck is not installed: skipped"; fi

fmt:
	gofmt -w $$(git ls-files '*.go')

# Writes anew the documents that are made from the program's own tables.
docs:
	$(GO) test -count=1 ./test/docs -update

# Posthouse beside Dovecot, Cyrus and Postfix on this machine; see docs/benchmarks.md.
bench: peers
	bench/install.sh
	$(GO) run ./bench $(ARGS)

# The mail programs that tests and benchmarks talk to (Debian packages).
peers:
	@./test/install.sh

clean:
	rm -rf bin
