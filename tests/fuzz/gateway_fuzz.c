/* gateway_fuzz: what a router or a stranger on its network answers: PCP and
 * NAT-PMP, SSDP, a description. Nothing is believed that was not asked for,
 * and all text that is kept can be printed. */
#include <stdlib.h>
#include <string.h>

#include "probes/natprobe/gateway/pcp.h"
#include "probes/natprobe/gateway/ssdp.h"

static void
check(bool good)
{
	if (!good)
		abort();
}

static void
check_text(const char *s, size_t cap)
{
	size_t n = strnlen(s, cap);

	check(n < cap);
	for (size_t i = 0; i < n; i++)
		check(s[i] >= ' ' && s[i] < 0x7f);
}

static void
answer(
    enum pcp_protocol protocol, enum pcp_step step, const uint8_t *p, size_t n)
{
	static const uint8_t nonce[PCP_NONCE_LEN] = "nonce number";
	static const struct ip client = {{[10] = 0xff, 0xff, 10, 0, 2, 15}};
	uint8_t out[PCP_PACKET_MAX];
	struct mono now = {1};
	struct pcp pcp;
	const struct pcp_exchange *x = &pcp.steps[step];

	pcp_init(&pcp, protocol, &client, nonce);
	pcp.port = 41000;
	pcp_begin(&pcp, step, now);
	check(pcp_next(&pcp, now, out) > 0);
	pcp_input(&pcp, p, n);
	check(x->state == PCP_WAITING || x->state == PCP_ANSWERED);
	if (x->state == PCP_ANSWERED && x->answer.result == 0) {
		check(p[0] == (protocol == PCP_V2 ? 2 : 0) && (p[1] & 0x80));
		if (protocol == PCP_V2 && step != PCP_ASK)
			check(memcmp(p + 24, nonce, PCP_NONCE_LEN) == 0);
	}
	check(*pcp_result_name(protocol, x->answer.result) != '\0');
	/* What was granted can be removed. */
	pcp_begin(&pcp, PCP_REMOVE, now);
	check(pcp_next(&pcp, now, out) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ssdp_answer a;
	char model[SSDP_NAME_MAX];

	for (int protocol = 0; protocol < PCP_PROTOCOLS; protocol++)
		for (int step = 0; step < PCP_STEPS; step++)
			answer((enum pcp_protocol)protocol, (enum pcp_step)step,
			    data, n);
	if (ssdp_parse(&a, data, n)) {
		check_text(a.location, sizeof(a.location));
		check_text(a.server, sizeof(a.server));
		check(!ssdp_url_is_at(a.location, "192.0.2.1") ||
		    strncmp(a.location, "http://192.0.2.1", 16) == 0);
	}
	ssdp_xml_text((const char *)data, n, "modelName", model, sizeof(model));
	check_text(model, sizeof(model));
	return 0;
}
