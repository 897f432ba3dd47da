# lode: `make demo` and `make test` are all a newcomer needs; the rest is for development.

GO      ?= go
BIN     ?= bin/lode
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X github.com/lodenet/lode/cli.version=$(VERSION)

# Race tests alone use cgo; they cover the packages that have goroutines of their own.
RACE = ./node/... ./network/... ./chain/store/... ./chain/sync/... ./chain/mpool/... \
       ./chain/outbox/... ./chain/mining/... ./chain/index/... ./storage/... ./market/... ./api/... ./repo/...

# What computes or interprets and is not ours to check is built without the detector there;
# SQLite, in Go that was translated from C, would take five times as long.
UNRACED = modernc.org/... github.com/consensys/... github.com/filecoin-project/specs-actors/... \
          github.com/lodenet/lode/proofs/...
RACEFLAGS = -race $(foreach p,$(UNRACED),-gcflags='$(p)=-race=false')

export CGO_ENABLED = 0

.PHONY: build demo devnet test vectors test-long test-netns bench lint generate clean

build: ## the static binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/lode

demo: build ## a three-node network that stores a file, proves it and gets it back; the first run makes keys for minutes
	$(BIN) demo

devnet: build ## a network of three processes that stays up; its folder is ./devnet-data
	$(BIN) devnet up --dir devnet-data --nodes 3

lint: ## format, vet, staticcheck, generated code fresh
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt differs:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

test: lint ## everything that a commit must pass
	@if [ -n "$$(command -v gcc)" ]; then \
	  set -e; \
	  $(GO) test -timeout 20m $$($(GO) list ./... | grep -v -x -F "$$($(GO) list $(RACE))"); \
	  CGO_ENABLED=1 test/race.sh $(GO) test $(RACEFLAGS) -timeout 20m -- $(RACE); \
	else \
	  echo "no C compiler: the tests run without the race detector"; \
	  $(GO) test -timeout 20m ./...; \
	fi

vectors: ## how many of the public proof vectors of each kind run
	@out=$$($(GO) test -count=1 -v -timeout 60m -run Vectors ./proofs/... 2>&1); code=$$?; \
	printf '%s\n' "$$out" | grep -E '^(vectors: | *--- FAIL|FAIL|panic)'; exit $$code

test-long: ## longer simulations, larger sectors, more random cases
	LODE_LONG=1 $(GO) test -timeout 120m ./...

test-netns: build ## fault scenarios with real processes in network namespaces, a line each; needs root and iproute2
	$(GO) test -c -o bin/netfault.test ./test/netfault
	cd test/netfault && LODE_NETFAULT_BIN=$(abspath $(BIN)) ../../bin/netfault.test -test.run '^TestNetns$$' -test.parallel 3 -test.timeout 25m

bench: ## benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

generate: ## codecs in *_gen.go
	$(GO) generate ./...

clean:
	rm -rf bin
