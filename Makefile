# campusnet: one non-recursive Makefile. Objects of each VARIANT live in
# build/VARIANT, so release, asan, tsan and cov never mix.
#
#   make            builds the programs            make run     starts them
#   make test       every test tier                make bench   beside the peers
#   make asan|tsan|cov                             make format lint layers
#   make install DESTDIR= PREFIX=                  make fuzz    FUZZ_SECONDS=

VARIANT    ?= release
PREFIX     ?= /usr/local
PKG_CONFIG ?= pkg-config
CLANG      ?= clang-14
B          := build/$(VARIANT)

PROGRAMS   := relayd stund
PACKAGES   := libevent_core libevent_extra libevent_pthreads openssl libsodium jansson
PURE_LIBS   = $(shell $(PKG_CONFIG) --libs libsodium jansson)
RUN_LIBS    = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -pthread
VERSION    := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wvla -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2
ifdef CI
WARNINGS += -Werror
endif

OPT_release := -O2 -g -D_FORTIFY_SOURCE=2
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
OPT_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT_cov     := -O0 -g --coverage
OPT_fuzz    := -O1 -g -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
ifeq ($(VARIANT),fuzz)
CC := $(CLANG)
endif

CFLAGS ?=
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARNINGS) $(OPT_$(VARIANT)) \
	-fstack-protector-strong -fPIE -pthread -Ilib -MMD -MP
override LDFLAGS += -pie -Wl,-z,relro,-z,now $(filter -fsanitize=% --coverage,$(OPT_$(VARIANT)))

Q := $(if $(V),,@)

all: $(PROGRAMS:%=$(B)/%)

# The libraries. Arrows go one way: program -> lib/run -> lib/pure.
PURE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard lib/pure/*.c))
RUN_OBJS  := $(patsubst %.c,$(B)/%.o,$(wildcard lib/run/*.c))
$(B)/libpure.a: $(PURE_OBJS)
$(B)/librun.a: $(RUN_OBJS)
%.a:
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $@")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/lib/run/version.o: override CPPFLAGS += -DVERSION='"$(VERSION)"'

# A program is all of its folder's .c files.
define program
$(B)/$(1): $(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*.c)) $(B)/librun.a $(B)/libpure.a
	$$(if $(V),,@echo "  LINK  $$@")
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(RUN_LIBS) $$(LDLIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# Unit tests: one program per unit. Pure units link the pure library alone;
# a test of anything else lists its objects here, which is its dependency audit.
UNITS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))
UNIT_OBJS_conf_test     := lib/run/conf.o
UNIT_OBJS_addr_test     := lib/run/addr.o
UNIT_OBJS_metrics_test  := lib/run/metrics.o
UNIT_OBJS_session_test  := relayd/session.o
UNIT_OBJS_queue_test    := relayd/queue.o
UNIT_OBJS_peers_test    := relayd/peers.o
UNIT_OBJS_pages_test    := relayd/pages.o
units: $(UNITS)
.SECONDEXPANSION:
$(B)/tests/unit/%: $(B)/tests/unit/%.o $$(addprefix $(B)/,$$(UNIT_OBJS_$$*)) $(B)/libpure.a
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PURE_LIBS)

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all units
