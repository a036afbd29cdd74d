# Building and running needs only Go. The tests need what tools/deps/install.sh
# installs, and root. "make help" lists the targets.

export CGO_ENABLED := 0
# generated objects are only the same with the same compiler
export BPF_CLANG := clang-16
export BPF_STRIP := llvm-strip-16

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 10s
VMRUN    := bin/vmrun
COUNTS   := bin/counts

.DEFAULT_GOAL := help
.PHONY: help build run test checks test-unit test-vm test-kernels test-native \
	test-attack test-benign bench generate generate-check fuzz deps clean vmrun

help: ## list the targets
	@sed -n 's/^\([a-z -]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r t d; do printf '  %-20s %s\n' "$$t" "$$d"; done

build: ## build bin/bearcat, static and stripped
	go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/bearcat ./cmd/bearcat

run: build ## build and run as root, through sudo where needed
	@if [ "$$(id -u)" = 0 ]; then exec bin/bearcat run; \
	elif command -v sudo >/dev/null; then exec sudo bin/bearcat run; \
	else echo "bearcat loads programs into the kernel: run as root: bin/bearcat run" >&2; exit 1; fi

vmrun:
	@go build -buildvcs=false -o $(VMRUN) ./test/kernel/cmd/vmrun

deps: ## install the packages that the tests need
	@tools/deps/install.sh
	@tools/deps/servers.sh

# Every part runs even when one before it failed, so that one run tells all.
test: deps vmrun build ## run everything: checks, unit tests, kernel tests everywhere
	@rm -rf $(COUNTS) && mkdir -p $(COUNTS); bad=; \
	$(MAKE) -s --no-print-directory checks || bad="$$bad checks"; \
	echo "== unit tests"; $(VMRUN) unit -summary $(COUNTS)/unit || bad="$$bad unit"; \
	echo "== kernel tests, natively and in guests"; $(VMRUN) matrix -summary $(COUNTS)/matrix $(ARGS) || bad="$$bad kernels"; \
	echo; echo "logs of the kernel tests: bin/kernel-logs"; \
	if [ -n "$$bad" ]; then echo "FAILED:$$bad"; else echo "everything passed"; fi; \
	$(VMRUN) total $(COUNTS)/unit $(COUNTS)/matrix || bad="$$bad total"; \
	[ -z "$$bad" ]

checks: ## check formatting, vet, and that generated files are fresh
	@echo "== gofmt"; unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@echo "== go vet"; go vet ./...
	@$(MAKE) -s --no-print-directory generate-check

test-unit: vmrun ## run the tests that need no kernel of their own
	@$(VMRUN) unit

test-vm test-kernels: vmrun build ## run the kernel tests natively and in guests (ARGS="-kernels 6.1 -run Name ./package")
	@$(VMRUN) matrix $(ARGS)

test-native: vmrun ## run the kernel tests on this machine only
	@$(VMRUN) matrix -kernels native $(ARGS)

# Each prints a table: what, on which kernel, by which rule, after how long.
KERNELS   ?= 6.1,6.12,7.3
SCENARIOS = $(VMRUN) matrix -j 1 -kernels $(KERNELS) -e BEARCAT_SCENARIOS=all -logs bin/$@-logs $(ARGS)
scenario_table = echo; sed -n 's/^.*_kernel_test.go:[0-9]*: \(| .* |\)$$/\1/p' bin/$@-logs/*.log

test-attack: vmrun build ## run the attacks in guests and print which rule told each (KERNELS=6.12 for one)
	@$(SCENARIOS) -run 'TestAttacks|TestSimulations' ./test/attack; s=$$?; $(scenario_table); exit $$s

test-benign: vmrun build ## run ordinary work in guests and print what alerts (KERNELS=6.12 for one)
	@tools/deps/servers.sh
	@$(SCENARIOS) -run TestOrdinaryWork ./test/benign; s=$$?; $(scenario_table); exit $$s

bench: ## measure what Bearcat costs
	@if [ -x test/bench/run.sh ]; then exec test/bench/run.sh; else echo "test/bench/run.sh is not there: nothing to measure with" >&2; exit 1; fi

generate: ## regenerate what is generated (needs clang-16 and llvm-16)
	@command -v $(BPF_CLANG) >/dev/null && command -v $(BPF_STRIP) >/dev/null || { echo "no $(BPF_CLANG) or $(BPF_STRIP): run make deps" >&2; exit 1; }
	go generate ./...

# Compares the files before and after, so it also works on changes not committed.
digest = find . \( -name .git -o -path ./bin \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
generate-check: ## fail when a generated file is not what generate makes
	@echo "== generated files"; mkdir -p bin; $(digest) >bin/before.sum; \
	$(MAKE) -s --no-print-directory generate || exit 1; $(digest) >bin/after.sum; \
	if ! cmp -s bin/before.sum bin/after.sum; then \
		echo "stale: make generate changed these; commit what it wrote:"; \
		diff bin/before.sum bin/after.sum | sed -n 's/^[<>] [0-9a-f]*  /  /p' | sort -u; exit 1; fi

fuzz: ## fuzz each fuzz target for FUZZTIME (10s)
	@grep -rEo '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sort | while IFS=: read -r file name; do \
		name=$${name#func }; echo "== $$name ($$(dirname $$file))"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)" </dev/null || exit 1; done

clean: ## remove what the other targets made
	rm -rf bin
