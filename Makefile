# Run `make help` for the targets.

K8S_VERSION := $(shell sed -n 's,^\tk8s.io/kubernetes \(v[0-9.]*\).*,\1,p' go.mod)
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# The scheduler announces the Kubernetes version it is built from, and clients
# fail to parse what component-base says where nothing is stamped.
K8S_NUMBERS := $(subst ., ,$(K8S_VERSION:v%=%))
COMPONENT   := k8s.io/component-base/version
LDFLAGS     := -X $(COMPONENT).gitVersion=$(K8S_VERSION) \
	-X $(COMPONENT).gitMajor=$(word 1,$(K8S_NUMBERS)) \
	-X $(COMPONENT).gitMinor=$(word 2,$(K8S_NUMBERS)) \
	-X main.version=$(VERSION)

COMMANDS := ./plugin/cmd/slipway-scheduler ./launcher/cmd/slipway-launcher ./launcher/cmd/slipway \
	./scripts/cmd/slipway-sim ./scripts/cmd/slipway-dev

# What `make generate` writes.
GENERATED := ':(glob)launcher/api/**/zz_generated.*.go' ':(glob)manifests/crd/*.yaml' ':(glob)manifests/rendered/**' \
	':(glob)proto/**/*.pb.go'

TOOLS  := bin/tools
# The chart as it is shipped, and what renders it with the values of one of its ci files.
CHART   := bin/chart.tgz
VALUES  := manifests/chart/ci
RENDER  := $(TOOLS)/helm template slipway $(CHART) --namespace kube-system --kube-version $(K8S_VERSION) --values $(VALUES)
SCHEMAS := bin/schemas/$(K8S_VERSION)
# Starts a recipe line that needs the control plane's binaries, building them on first use.
ASSETS := export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(go run ./scripts/devcluster/cmd/controlplane) &&

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build every program into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS)

PLATFORMS := amd64 arm64
DAEMONS   := slipway-scheduler slipway-launcher

.PHONY: images
images: ## pack the daemons for amd64 and arm64, as OCI layouts in dist/images
	rm -rf dist/images $(PLATFORMS:%=dist/linux_%)
	for arch in $(PLATFORMS); do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -buildvcs=false -ldflags '-s -w $(LDFLAGS)' \
			-o dist/linux_$$arch/ ./plugin/cmd/slipway-scheduler ./launcher/cmd/slipway-launcher || exit; done
	@for daemon in $(DAEMONS); do \
		GOWORK=off go run -C scripts/tools/image . --name $$daemon --version $(VERSION) --created $$(git log -1 --format=%ct) \
			--output $(CURDIR)/dist/images/$$daemon \
			$(foreach arch,$(PLATFORMS),linux/$(arch)=$(CURDIR)/dist/linux_$(arch)/$$daemon) || exit; done

.PHONY: dist
dist: ## build the command line for Linux and macOS into dist/
	for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -trimpath -buildvcs=false -ldflags '-s -w $(LDFLAGS)' \
			-o dist/slipway_$${target%/*}_$${target#*/} ./launcher/cmd/slipway || exit; done

.PHONY: package
package: $(TOOLS)/.chart ## package the chart for a release into dist/ (CHART_VERSION=1.2.3)
	$(TOOLS)/helm package manifests/chart --destination dist --version $(CHART_VERSION) --app-version v$(CHART_VERSION)

.PHONY: controlplane
controlplane: ## build etcd, kube-apiserver and kube-controller-manager, once, into a cache
	@go run ./scripts/devcluster/cmd/controlplane

.PHONY: demo
demo: build ## show pods getting nodes of the simulated EC2, end to end
	$(ASSETS) bin/slipway-dev demo

.PHONY: up
up: build ## start a dev cluster with Slipway in it and leave it running
	$(ASSETS) bin/slipway-dev up

.PHONY: down
down: build ## stop the dev cluster
	bin/slipway-dev down

.PHONY: test
test: $(CHART) ## run every test, under the race detector but for pack, which starts no goroutine
	$(ASSETS) HELM=$(CURDIR)/$(TOOLS)/helm CHART=$(CURDIR)/$(CHART) go test -race -timeout 20m ./scripts/e2e $$(go list ./... | grep -v -e /launcher/pack$$ -e /scripts/e2e$$) # the longest first
	go test -timeout 20m ./launcher/pack
	GOWORK=off go test -C scripts/tools/image .

.PHONY: bench-pack
bench-pack: ## measure fit and pack: time, allocations, price over its lower bound (COUNT=6 for benchstat)
	go test -run '^$$' -bench . -benchmem -count $(or $(COUNT),1) ./launcher/pack ./launcher/fit

.PHONY: bench-burst
bench-burst: build ## measure bursts of pods until they are bound (BURST='--pods 1,10,100 --runs 3')
	$(ASSETS) bin/slipway-dev bench-burst $(BURST)

.PHONY: bench-reap
bench-reap: build ## measure how nodes that are emptied at once go (REAP='--nodes 100 --runs 3')
	$(ASSETS) bin/slipway-dev bench-reap $(REAP)

.PHONY: bench-consolidate
bench-consolidate: build ## measure how underused clusters are consolidated, in memory (CONSOLIDATE='--nodes 5000')
	bin/slipway-dev bench-consolidate $(CONSOLIDATE)

.PHONY: bench-day
bench-day: build ## play a day of load in simulated time: money against its lower bound, waits, moves (DAY='--seed 2')
	bin/slipway-dev bench-day $(DAY)

PERF := scripts/bench/scheduler/perf

.PHONY: bench-scheduler
bench-scheduler: build ## compare scheduling throughput with the stock profile (SCHEDULER='--pairs 1')
	GOWORK=off go vet -C $(PERF) .
	GOWORK=off go test -C $(PERF) -c -ldflags '$(LDFLAGS)' -o $(CURDIR)/bin/bench-scheduler.test .
	$(ASSETS) bin/slipway-dev bench-scheduler $(SCHEDULER)

SOAKTIME ?= 10m

.PHONY: soak
soak: build ## do random things for a while and check what is left (SOAKTIME=10m SEED=1)
	$(ASSETS) bin/slipway-dev soak --duration $(SOAKTIME) $(if $(SEED),--seed $(SEED))

FUZZTIME ?= 60s

.PHONY: fuzz
fuzz: ## hold plans for random clusters against the real scheduler, and hand over hostile pods (FUZZTIME=60s)
	go test ./launcher/fit -run '^$$' -fuzz '^FuzzPlan$$' -fuzztime $(FUZZTIME)
	go test ./launcher -run '^$$' -fuzz '^FuzzReservePods$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x

.PHONY: lint
lint: $(TOOLS)/.lint $(TOOLS)/.buf ## run the linters
	$(TOOLS)/golangci-lint run ./...
	$(TOOLS)/buf lint

.PHONY: fmt
fmt: $(TOOLS)/.lint ## format the Go code
	$(TOOLS)/golangci-lint fmt ./...

.PHONY: generate
generate: $(TOOLS)/.gen $(TOOLS)/.buf $(TOOLS)/.chart ## regenerate deep copies, CRDs, gRPC code and the chart's renderings
	$(TOOLS)/controller-gen object crd:maxDescLen=400 paths=./launcher/api/... output:crd:dir=manifests/crd
	go run ./manifests/crd/bound manifests/crd/slipway.dev_*.yaml
	$(TOOLS)/buf generate
	rm -f $(CHART) && $(MAKE) --no-print-directory $(CHART)
	for values in default full; do \
		$(RENDER)/$$values.yaml --set crds.install=false | go run ./scripts/chart/render manifests/rendered/$$values || exit; done

.PHONY: builtin
builtin: ## read from AWS which types and prices to build in of a region (REGION=eu-west-1)
	@mkdir -p bin
	go run ./scripts/builtin --region $(REGION) > bin/builtin.txt
	mv bin/builtin.txt launcher/cloud/ec2/builtin/$(REGION).txt

$(CHART): $(TOOLS)/.chart $(shell find manifests/chart manifests/crd manifests/grafana)
	rm -rf bin/chart && $(TOOLS)/helm package manifests/chart --destination bin/chart && mv bin/chart/*.tgz $@

.PHONY: chart
chart: $(CHART) $(SCHEMAS)/.done ## check the Helm chart with default and full values
	@for values in default full; do \
		$(TOOLS)/helm lint --strict --quiet $(CHART) --kube-version $(K8S_VERSION) --values $(VALUES)/$$values.yaml && \
		$(RENDER)/$$values.yaml > bin/chart-$$values.yaml && \
		$(TOOLS)/kubeconform -strict -summary -schema-location '$(SCHEMAS)/{{.ResourceKind}}{{.KindSuffix}}.json' \
			-skip Certificate,Issuer,PrometheusRule,ServiceMonitor bin/chart-$$values.yaml || exit; done
	@GOWORK=off go run -C scripts/tools/foreign . $(CURDIR)/bin/chart-full.yaml $(CURDIR)/manifests/grafana/slipway.json

# Made from what the API server says of itself, in the module it is built from.
$(SCHEMAS)/.done: go.mod scripts/chart/schemas/main.go
	go run ./scripts/chart/schemas $$(go list -m -f '{{.Dir}}' k8s.io/kubernetes)/api/openapi-spec/swagger.json $(SCHEMAS)
	@touch $@

.PHONY: verify
verify: generate chart ## fail where generated files or go.mod are out of date, the chart is wrong, or go vet complains
	go mod tidy -diff
	GOWORK=off go mod tidy -C $(PERF) -diff
	git diff --exit-code -- $(GENERATED)
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); \
		if [ -n "$$new" ]; then echo "generated but not committed: $$new" >&2; exit 1; fi
	go vet ./...

.PHONY: vulncheck
vulncheck: $(TOOLS)/.gen ## look for known vulnerabilities in what the code calls
	$(TOOLS)/govulncheck ./...

.PHONY: clean
clean: ## remove what was built here (the control plane's cache stays)
	rm -rf bin

# The tools are pinned by modules of their own, so that they cannot move the
# versions the product is built with.
$(TOOLS)/.%: scripts/tools/%/go.mod scripts/tools/%/go.sum
	@mkdir -p $(TOOLS)
	GOWORK=off go build -C scripts/tools/$* -trimpath -buildvcs=false -o $(CURDIR)/$(TOOLS)/ tool
	@touch $@
