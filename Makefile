# campusnet: one non-recursive Makefile. Objects of each VARIANT live in
# build/VARIANT/obj, so release, asan, tsan, cov and fuzz never mix.
#
#   make            builds the programs      make run     starts them
#   make test       every test tier          make bench   beside the peers
#   make asan tsan  tiers under sanitizers   make fuzz    FUZZ_SECONDS= each
#   make cov        coverage, as text        make nightly test, long ones, fuzz
#   make natprobe-static            one file, to be copied to any Linux
#   make natlab     a shell among NATs; TOPOLOGY= NATS=
#   make format lint layers                  make reformat rewrites the code
#   make install DESTDIR= PREFIX=            make clean

VARIANT    ?= release
PREFIX     ?= /usr/local
PKG_CONFIG ?= pkg-config
CLANG      ?= clang-14
PYTHON     ?= /usr/bin/python3
B          := build/$(VARIANT)
O          := $(B)/obj

PROGRAMS   := relayd stund coordd coordctl natprobe
PACKAGES   := libevent_core libevent_extra libevent_pthreads openssl libsodium jansson libseccomp
PURE_LIBS   = $(shell $(PKG_CONFIG) --libs libsodium jansson libcrypto)
RUN_LIBS    = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -pthread
LIBS_coordd = $(shell $(PKG_CONFIG) --libs libnghttp2 sqlite3 libzstd)
LIBS_natprobe = $(shell $(PKG_CONFIG) --libs miniupnpc libpcap)
VERSION    := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wvla -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2
ifdef CI
WARNINGS += -Werror
endif

OPT_release := -O2 -g -D_FORTIFY_SOURCE=2
OPT_clang   := $(OPT_release)
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
OPT_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT_cov     := -O0 -g --coverage -DWITHOUT_SANDBOX
OPT_fuzz    := -O1 -g -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
ifeq ($(OPT_$(VARIANT)),)
$(error VARIANT=$(VARIANT): want release, clang, asan, tsan, cov or fuzz)
endif
# Only clang's runtime has both sanitizers write where log_path says.
ifneq ($(filter clang asan fuzz,$(VARIANT)),)
CC := $(CLANG)
endif

CFLAGS ?=
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARNINGS) $(OPT_$(VARIANT)) \
	-fstack-protector-strong -fPIE -pthread -I. -Ilib -MMD -MP
override LDFLAGS += -pie -Wl,-z,relro,-z,now $(filter -fsanitize=% --coverage,$(OPT_$(VARIANT)))

Q    := $(if $(V),,@)
SAID  = $(if $(V),,@echo "  $(1) $@")

all: $(PROGRAMS:%=$(B)/%)

# The libraries. Arrows go one way: program -> lib/run -> lib/pure.
PURE_OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard lib/pure/*.c))
RUN_OBJS  := $(patsubst %.c,$(O)/%.o,$(wildcard lib/run/*.c))
$(B)/libpure.a: $(PURE_OBJS)
$(B)/librun.a: $(RUN_OBJS)
%.a:
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(call SAID,CC   )
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The version is compiled into one object, anew when it changes.
$(O)/lib/run/version.o: override CPPFLAGS += -DVERSION='"$(VERSION)"'
$(O)/lib/run/version.o: $(B)/version
$(B)/version: FORCE
	@mkdir -p $(@D); echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

# .incbin reads these, which -MMD does not see.
$(O)/coordd/page_asset.o: $(wildcard coordd/page/*)

# A program is all .c files of its folder and of what lies in it; probes lie
# in probes/.
folder = $(or $(wildcard probes/$(1)),$(1))
parts = $(patsubst %.c,$(O)/%.o,$(wildcard $(addprefix $(call folder,$(1)),/*.c /*/*.c))) $(B)/librun.a $(B)/libpure.a
define program
$(B)/$(1): $(call parts,$(1))
	$$(call SAID,LINK )
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS_$(1)) $$(RUN_LIBS) $$(LDLIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# natprobe without shared libraries, glibc's included. -lpcap wants libdbus.
STATIC := $(B)/natprobe-static
STATIC_LIBS = $(LIBS_natprobe) $(if $(filter -lpcap,$(LIBS_natprobe)),-ldbus-1) \
	$(shell $(PKG_CONFIG) --static --libs $(filter-out libseccomp,$(PACKAGES)))
natprobe-static: $(STATIC)
$(STATIC): $(call parts,natprobe) $(O)/deploy/static/sd.o
	$(call SAID,LINK )
	$(Q)$(CC) $(filter-out -pie,$(LDFLAGS)) -static-pie -s -Wl,--no-warnings -o $@ \
		$(filter %.o,$^) $(filter %.a,$^) $(STATIC_LIBS)

# Unit and sim tests: one program per file. They link the pure library alone;
# a test of anything else lists its objects here, which is its dependency audit.
UNITS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/*_test.c))
SIMS  := $(patsubst %.c,$(B)/%,$(wildcard tests/sim/*_test.c))
UNIT_OBJS_conf_test     := lib/run/conf.o lib/run/conf_value.o lib/run/addr.o
UNIT_OBJS_conf_addr_test := $(UNIT_OBJS_conf_test)
UNIT_OBJS_addr_test     := lib/run/addr.o
UNIT_OBJS_file_test     := lib/run/file.o
UNIT_OBJS_tls_test      := lib/run/tls.o
UNIT_LIBS_tls_test       = $(shell $(PKG_CONFIG) --libs openssl)
UNIT_OBJS_log_test      := lib/run/log.o
POLICY_OBJS := $(patsubst %,coordd/policy_%.o,alias cases error explain \
	filter lists match owner parse ports rules)
UNIT_OBJS_policy_test   := $(POLICY_OBJS)
UNIT_OBJS_policy_corpus_test := $(POLICY_OBJS)
UNIT_OBJS_model_test    := coordd/model.o
UNIT_OBJS_store_test    := coordd/model.o lib/run/file.o \
	$(patsubst %,coordd/store_%.o,sqlite schema put load file)
UNIT_LIBS_store_test     = $(shell $(PKG_CONFIG) --libs sqlite3)
UNIT_OBJS_store_file_test := $(UNIT_OBJS_store_test)
UNIT_LIBS_store_file_test = $(UNIT_LIBS_store_test)
UNIT_OBJS_store_copy_test := $(UNIT_OBJS_store_test)
UNIT_LIBS_store_copy_test = $(UNIT_LIBS_store_test)
UNIT_OBJS_ops_test      := $(patsubst %.c,%.o,$(wildcard coordd/ops*.c coordd/store*.c coordd/policy*.c)) \
	coordd/model.o coordd/names.o lib/run/log.o lib/run/file.o
UNIT_LIBS_ops_test       = $(shell $(PKG_CONFIG) --libs sqlite3)
UNIT_OBJS_names_test    := coordd/names.o coordd/model.o
UNIT_OBJS_alloc_test    := coordd/alloc.o
UNIT_OBJS_register_test := coordd/register.o coordd/model.o
UNIT_OBJS_wire_test     := coordd/wire.o
UNIT_OBJS_source_test   := coordd/source.o
UNIT_OBJS_mapdoc_test   := coordd/mapdoc.o coordd/model.o
UNIT_OBJS_relays_test   := coordd/relays.o lib/run/file.o lib/run/addr.o
UNIT_OBJS_memory_test   := lib/run/memory.o
UNIT_OBJS_metrics_test  := lib/run/metrics.o
UNIT_OBJS_sandbox_test  := lib/run/sandbox.o lib/run/log.o
UNIT_LIBS_sandbox_test   = $(shell $(PKG_CONFIG) --libs libseccomp)
UNIT_OBJS_session_test  := relayd/session.o
UNIT_OBJS_queue_test    := relayd/queue.o
UNIT_OBJS_peers_test    := relayd/peers.o
UNIT_OBJS_pages_test    := relayd/pages.o
UNIT_OBJS_mail_test     := relayd/mail.o
UNIT_OBJS_check_test    := stund/check.o \
	$(patsubst %,stund/check_%.o,addr answer fault judge print probe uri)
UNIT_OBJS_answer_test   := coordctl/answer.o
UNIT_OBJS_pair_test     := stund/pair.o
MEET_PURE := $(patsubst %,probes/natprobe/pair/%.o,code message meet meet_out meet_tcp meet_why \
	knock knock_told knock_why) \
	probes/natprobe/nat/draw.o
UNIT_OBJS_meet_test     := $(MEET_PURE)
UNIT_OBJS_knock_test    := $(MEET_PURE)
UNIT_OBJS_relay_talk_test := $(patsubst %,probes/natprobe/relay/%.o,talk row)
UNIT_OBJS_gateway_pcp_test := probes/natprobe/gateway/pcp.o
UNIT_OBJS_gateway_ssdp_test := probes/natprobe/gateway/ssdp.o
SIM_OBJS_relay_test     := tests/sim/simio.o \
	$(patsubst %,relayd/%.o,client web deliver worker session queue peers pages mail pool stats access) \
	$(patsubst %,lib/run/%.o,log addr metrics version)
SIM_OBJS_mapper_test    := $(patsubst %,tests/sim/%.o,simio coordsim fleet maptruth mapview) \
	$(patsubst %.c,%.o,$(wildcard coordd/mapper*.c coordd/ops*.c coordd/policy*.c)) \
	$(patsubst %,coordd/%.o,admit alloc joining login mapdoc mapping model names register wire) \
	$(patsubst %,lib/run/%.o,file log)
SIM_LIBS_mapper_test     = $(shell $(PKG_CONFIG) --libs libzstd)
SIM_OBJS_mapper_cases_test := $(SIM_OBJS_mapper_test)
SIM_LIBS_mapper_cases_test = $(SIM_LIBS_mapper_test)
# natcore, the NAT laboratory's core, obeys the rules of lib/pure.
NATCORE_OBJS := $(patsubst %.c,%.o,$(wildcard tests/natlab/natcore*.c))
$(B)/libnatcore.a: $(NATCORE_OBJS:%=$(O)/%)
$(foreach t,$(wildcard tests/unit/natcore*_test.c),$(eval \
	UNIT_OBJS_$(notdir $(t:.c=)) := tests/unit/natcore_kit.o $(NATCORE_OBJS)))
NATEMU := $(B)/tests/natlab/natemu
$(NATEMU): $(patsubst %.c,$(O)/%.o,$(wildcard tests/natlab/natemu*.c)) \
		$(B)/libnatcore.a $(B)/librun.a $(B)/libpure.a
	$(call SAID,LINK )
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(RUN_LIBS) -lpcap
natemu: $(NATEMU)
NATPROBE_PURE := $(patsubst %,probes/natprobe/nat/%.o,draw ports label engine oddity plan plan_life \
	probe judge judge_mapping judge_filter judge_alloc judge_life \
	judge_hairpin judge_server)
TCP_PURE := $(patsubst %,probes/natprobe/tcp/%.o,calls told plan judge) $(NATPROBE_PURE)
UNIT_OBJS_natprobe_tcp_test := tests/sim/tcpworld.o $(TCP_PURE)
UNIT_OBJS_natprobe_engine_test := $(patsubst %,probes/natprobe/nat/%.o,draw label engine oddity)
SIM_OBJS_natprobe_test   := tests/sim/natworld.o $(NATPROBE_PURE) \
	$(NATCORE_OBJS) tests/sim/natkit.o
SIM_OBJS_natprobe_grid_test := $(SIM_OBJS_natprobe_test)
UNIT_OBJS_natprobe_ports_test := probes/natprobe/nat/ports.o
UNIT_OBJS_natprobe_live_test := $(patsubst %,probes/natprobe/live/%.o,view words parts) \
	$(TCP_PURE) $(patsubst %,probes/natprobe/path/%.o,mtu mtu_judge reach) \
	probes/natprobe/gateway/hops.o probes/natprobe/gateway/nats.o
UNIT_OBJS_natprobe_words_test := probes/natprobe/words.o \
	$(patsubst %,probes/natprobe/%/words.o,evidence gateway pair path relay tcp) \
	probes/natprobe/pair/knock_words.o $(NATPROBE_PURE)
UNIT_OBJS_natprobe_limit_test := probes/natprobe/limit.o
UNIT_OBJS_gateway_hops_test := $(patsubst %,probes/natprobe/gateway/%.o,hops nats) \
	$(NATPROBE_PURE)
UNIT_OBJS_gateway_fence_test := probes/natprobe/gateway/fence.o $(NATPROBE_PURE)
UNIT_OBJS_path_mtu_test  := $(patsubst %,probes/natprobe/path/%.o,mtu mtu_judge) \
	$(NATPROBE_PURE)
UNIT_OBJS_path_test      := $(patsubst %,probes/natprobe/path/%.o,reach dns proxy alg icmp) \
	$(NATPROBE_PURE)
NATPROBE_EVIDENCE := probes/natprobe/result.o lib/run/version.o \
	$(patsubst %,probes/natprobe/evidence/%.o,ends frame own pcapng note replay replay_tcp stream) \
	probes/natprobe/tcp/result.o $(TCP_PURE)
SIM_OBJS_natprobe_replay_test := tests/sim/natworld.o tests/sim/film.o $(NATPROBE_EVIDENCE) \
	$(NATCORE_OBJS)
SIM_OBJS_natprobe_replay_tcp_test := tests/sim/tcpworld.o tests/sim/film.o $(NATPROBE_EVIDENCE)
UNIT_OBJS_natprobe_evidence_test := $(NATPROBE_EVIDENCE)
UNIT_OBJS_predict_test   := probes/natprobe/views/predict.o $(NATPROBE_PURE)
units: $(UNITS)
sims: $(SIMS)
everything: all units sims loads natemu $(if $(filter release,$(VARIANT)),natprobe-static)

.SECONDEXPANSION:
$(B)/tests/unit/%: $(O)/tests/unit/%.o $$(addprefix $(O)/,$$(UNIT_OBJS_$$*)) $(B)/libpure.a
	$(call SAID,LINK )
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PURE_LIBS) $(UNIT_LIBS_$*)
$(B)/tests/sim/%: $(O)/tests/sim/%.o $$(addprefix $(O)/,$$(SIM_OBJS_$$*)) $(B)/libpure.a
	$(call SAID,LINK )
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PURE_LIBS) $(SIM_LIBS_$*)

# Fuzzers, of VARIANT=fuzz only: linked like units. Corpus of NAME_fuzz.c:
# tests/fuzz/corpus/NAME/.
FUZZERS := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_OBJS_derp_session_fuzz := relayd/session.o
FUZZ_OBJS_answer_fuzz       := coordctl/answer.o
FUZZ_OBJS_check_fuzz        := $(UNIT_OBJS_check_test)
FUZZ_OBJS_pair_fuzz         := stund/pair.o
FUZZ_OBJS_meet_fuzz         := $(MEET_PURE)
FUZZ_OBJS_relay_talk_fuzz   := probes/natprobe/relay/talk.o
FUZZ_OBJS_gateway_fuzz      := $(patsubst %,probes/natprobe/gateway/%.o,pcp ssdp)
FUZZ_OBJS_natprobe_answers_fuzz := $(NATPROBE_PURE)
FUZZ_OBJS_path_fuzz         := $(NATPROBE_PURE) $(patsubst %,probes/natprobe/path/%.o,\
	mtu mtu_judge reach proxy)
FUZZ_OBJS_policy_fuzz       := $(POLICY_OBJS)
FUZZ_OBJS_wire_fuzz         := coordd/wire.o tests/sim/mapview.o
FUZZ_OBJS_conf_file_fuzz    := lib/run/conf.o lib/run/conf_value.o lib/run/addr.o
FUZZ_OBJS_natcore_fuzz       := tests/unit/natcore_kit.o $(NATCORE_OBJS)
FUZZ_OBJS_natprobe_tcp_fuzz := $(TCP_PURE)
FUZZ_OBJS_replay_fuzz       := $(NATPROBE_EVIDENCE)
FUZZ_OBJS_replay_tcp_fuzz   := $(NATPROBE_EVIDENCE)
FUZZ_OBJS_pcapng_fuzz       := $(NATPROBE_EVIDENCE)
FUZZ_OBJS_reading_fuzz      := $(TCP_PURE) \
	$(patsubst %,probes/natprobe/path/%.o,mtu mtu_judge reach dns proxy) $(patsubst %,probes/natprobe/views/%.o,\
	reading reading_path json predict predict_words judged advice report_page report_piece report_table \
	report_way report_plot) $(patsubst %,probes/natprobe/gateway/%.o,hops nats)
ifeq ($(VARIANT),fuzz)
fuzzers: $(FUZZERS)
$(B)/tests/fuzz/%: $(O)/tests/fuzz/%.o $$(addprefix $(O)/,$$(FUZZ_OBJS_$$*)) $(B)/libpure.a
	$(call SAID,LINK )
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(PURE_LIBS)
endif

# The peers of the interop tests and the bench: Tailscale's own programs, at
# the version that tests/interop/go.mod names, and the load generators.
GO    = GOTOOLCHAIN=local CGO_ENABLED=0 $(shell deploy/bootstrap go)
PEERS = $(addprefix build/peers/,derper derpprobe stunc stund tailscaled tailscale)
BENCHES = $(addprefix build/peers/,derpbench coordbench stunbench)
STUNTOOLS = $(addprefix build/peers/,pionstun netcheckstun)
peers: $(PEERS) $(BENCHES) $(STUNTOOLS)
$(PEERS) &: tests/interop/go.mod tests/interop/go.sum
	@mkdir -p build/peers
	$(Q)cd tests/interop && $(GO) build -o ../../build/peers/ $(PEERS:build/peers/%=tailscale.com/cmd/%)
	@touch $(PEERS)
$(STUNTOOLS): build/peers/%: $(wildcard tests/interop/*stun/*.go) tests/interop/go.mod tests/interop/go.sum
	@mkdir -p build/peers
	$(Q)cd tests/interop && $(GO) build -o ../../$@ ./$*
$(BENCHES): $(wildcard $(addprefix tests/bench/,*.go */*.go go.*))
	@mkdir -p build/peers
	$(Q)cd tests/bench && $(GO) build -o ../../$@ ./$(patsubst %bench,%,$(filter-out derpbench,$(@F)))

# The STUN benchmark's generator and its floor, which are C.
LOADS := $(addprefix $(B)/tests/bench/,stunload floor)
loads: $(LOADS)
$(LOADS): $(B)/tests/bench/%: $(O)/tests/bench/stun/c/%.o $(B)/libpure.a
	$(call SAID,LINK )
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

# What a person or the CI types. tests/run builds what it runs.
run:
	@exec deploy/run
test:
	@deploy/bootstrap test
	@tests/run
natlab:
	@deploy/bootstrap test
	@$(MAKE) --no-print-directory natemu
	@$(PYTHON) tests/natlab/natlab $(if $(TOPOLOGY),shell $(TOPOLOGY) $(NATS),list)
asan tsan:
	@deploy/bootstrap test
	@tests/run $@
cov:
	@deploy/bootstrap dev
	@tests/run cov
	@gcovr --root . --filter lib/ --filter relayd/ --filter stund/ --filter coordd/ --filter coordctl/ --filter probes/ build/cov
fuzz:
	@deploy/bootstrap test
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) tests/run fuzz
nightly:
	@deploy/bootstrap test
	@NIGHTLY=1 FUZZ_SECONDS=$(or $(FUZZ_SECONDS),300) tests/run
bench:
	@deploy/bootstrap bench
	@$(MAKE) --no-print-directory all loads peers natemu
	@build/peers/derpbench $(BENCH_FLAGS) relayd=build/release/relayd \
		relayd-1w=build/release/relayd,-workers=1 derper=build/peers/derper
	@build/peers/coordbench $(COORDBENCH_FLAGS) coordd=build/release/coordd \
		$(if $(HEADSCALE),headscale='$(HEADSCALE)')
	@build/peers/stunbench $(STUNBENCH_FLAGS) floor=build/release/tests/bench/floor \
		stund=build/release/stund tailscale=build/peers/stund coturn=turnserver
	@$(PYTHON) tests/natlab/timing.py

# Checks of the text of the code. Tracked files only.
TRACKED = $(wildcard $(shell git ls-files $(1)))
format:
	@clang-format-14 --dry-run -Werror $(call TRACKED,'*.c' '*.h')
reformat:
	clang-format-14 -i $(call TRACKED,'*.c' '*.h')
layers: $(B)/libpure.a $(B)/libnatcore.a
	@$(PYTHON) tests/layers.py $^
lint: lint-text lint-c lint-go
lint-text:
	@mandoc -Tlint -W warning $(or $(call TRACKED,'*.[1-8]'),$(error no manual pages))
	@for f in $(call TRACKED,'*.py') tests/run tests/natlab/natlab; do \
		$(PYTHON) -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' $$f || exit 1; done
	@for f in $(call TRACKED,'*.sh' deploy .ci) ; do case $$(head -n 1 $$f) in \
		'#!/bin/sh'*) sh -n $$f;; *bash*) bash -n $$f;; esac || exit 1; done
lint-c:
	@mkdir -p $(B)
	@printf '%s\n' $(call TRACKED,'*.c') | xargs -P $$(nproc) -I{} clang-tidy-14 \
		--quiet {} -- -std=c11 -D_GNU_SOURCE -DVERSION='""' -I. -Ilib 2>$(B)/tidy.log || { cat $(B)/tidy.log; exit 1; }
lint-go:
	@bad=$$($$($(GO) env GOROOT)/bin/gofmt -l tests); test -z "$$bad" || { echo "gofmt differs: $$bad"; exit 1; }
	@cd tests/interop && $(GO) vet ./...
	@cd tests/bench && $(GO) vet ./...

# Installed under a prefix: /usr/sbin/stund belongs to Debian's stun-server,
# and relayd is the name of OpenBSD's relay daemon.
SHARE = $(DESTDIR)$(PREFIX)/share
install: all
	@for p in $(PROGRAMS); do \
		install -D -m 755 $(B)/$$p "$(DESTDIR)$(PREFIX)/sbin/campusnet-$$p" && \
		install -D -m 644 $$([ -d $$p ] || echo probes/)$$p/$$p.8 "$(SHARE)/man/man8/campusnet-$$p.8" || exit 1; done
	@for to in bash:bash-completion/completions/campusnet-coordctl \
		zsh:zsh/site-functions/_campusnet-coordctl \
		fish:fish/vendor_completions.d/campusnet-coordctl.fish; do \
		$(B)/coordctl completion $${to%%:*} | \
		install -D -m 644 /dev/stdin "$(SHARE)/$${to#*:}" || exit 1; done

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
FORCE:
.PHONY: all natprobe-static units sims loads natemu natlab everything fuzzers peers run test asan tsan cov fuzz \
	nightly bench format reformat layers lint lint-text lint-c lint-go \
	install clean FORCE
