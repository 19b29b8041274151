# The two commands to know: "make demo" and "make test".
export CGO_ENABLED ?= 0
GO ?= go

NPM ?= npm

.PHONY: demo build ui test test-long check fmt docs bench bench-ui peers clean

# A server with two people and their mail, on loopback, in a temporary directory.
demo: build
	./bin/posthouse demo $(ARGS)

build: ui
	$(GO) build -o bin/posthouse ./cmd/posthouse

# The mail client in the browser, which the binary embeds (docs/decisions/0170): built
# where something of it changed. Without npm the binary has a page that says so.
UI = web/ui/dist/app/index.html.gz
UI_SOURCES := $(shell find web/ui/src web/ui/public -type f 2>/dev/null) $(addprefix web/ui/,index.html package.json package-lock.json vite.config.ts svelte.config.js tsconfig.json compress.mjs)

ui:
	@if command -v $(NPM) >/dev/null; then $(MAKE) --no-print-directory $(UI); else echo "npm is not here: the mail client is left out of the binary"; fi

web/ui/node_modules/.package-lock.json: web/ui/package-lock.json
	cd web/ui && $(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

$(UI): web/ui/node_modules/.package-lock.json $(UI_SOURCES)
	cd web/ui && $(NPM) run --silent build

# Everything that must hold, real mail programs included. Without the cache of
# results: it does not see that tests of the whole server run a new binary.
test: peers ui
	$(GO) test -count=1 -timeout 15m ./...

# The same with the race detector and the long rounds (needs a C compiler).
test-long: peers ui
	CGO_ENABLED=1 POSTHOUSE_LONG=1 $(GO) test -count=1 -race -timeout 120m ./...

# What a change must pass before it is looked at; takes seconds.
check:
	@out="$$(gofmt -l $$(git ls-files '*.go'))"; [ -z "$$out" ] || { echo "gofmt -w needed: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) test ./internal/lint
	@if [ -d web/ui/node_modules ]; then cd web/ui && $(NPM) run --silent check; fi
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

# The mail client in Chromium on the demo server: bytes, requests, times.
bench-ui: peers ui
	$(GO) test -count=1 -timeout 15m -run TestBench -v ./test/ui -bench-ui

# The mail programs that tests and benchmarks talk to (Debian packages).
peers:
	@./test/install.sh

clean:
	rm -rf bin web/ui/dist/app web/ui/node_modules
