/* tell: gathers the result of all parts, and says it. */
#include <stdio.h>

#include "probes/natprobe/run.h"

static json_t *
map_json(const struct natprobe *n)
{
	if (n->map == NULL)
		return json_null();
	return json_string(*n->conf.map == '\0' ? "tailscaled" : "file");
}

static json_t *
result_of(struct natprobe *n, int64_t unix_s)
{
	static const char *const names[] = {"ipv4", "ipv6"};
	json_t *r = result_new(&n->conf, unix_s), *family;

	if (*n->conf.replay == '\0') {
		json_object_set_new(r, "map", map_json(n));
		json_object_set_new(r, "names", result_names(&n->targets));
	}
	for (int v6 = 0; v6 < 2; v6++) {
		if (!n->used[v6])
			continue;
		family = result_family(&n->probes[v6], &n->targets);
		if (!n->conf.no_local && *n->conf.replay == '\0')
			json_object_set_new(
			    family, "local", result_local(&n->probes[v6]));
		tcp_result_add(family,
		    *n->conf.replay == '\0' ? tcp_net_calls(n->tcps[v6])
					    : replay_calls(&n->replay, v6),
		    &n->targets);
		if (n->gateways != NULL)
			gateway_results_add(
			    family, n->gateways, &n->probes[v6]);
		json_object_set_new(r, names[v6], family);
	}
	if (n->relays != NULL)
		relay_results_add(r, n->relays);
	if (n->capture != NULL)
		json_object_set_new(r, "capture", capture_json(n->capture));
	if (*n->conf.replay != '\0')
		json_object_set_new(r, "replay",
		    replay_json(&n->replay, n->conf.replay, n->replay_why));
	if (n->path != NULL)
		path_results_add(r, n->path);
	result_add_end(r, n->cut);
	return r;
}

static bool
relays_work(const struct relays *r)
{
	bool each = true;

	for (size_t i = 0; i < r->n; i++)
		each &= relay_works(r->v[i]);
	return each;
}

static int
status_of(const struct natprobe *n)
{
	bool blocked = true, known = true;
	struct verdicts v;

	for (int v6 = 0; v6 < 2; v6++) {
		if (!n->used[v6])
			continue;
		judge(&n->probes[v6], &v);
		blocked &= v.udp == ANSWER_NO;
		known &=
		    v.mapping.why == REASON_NONE && v.filter.why == REASON_NONE;
	}
	if (n->cut != CUT_NOT)
		return n->cut == CUT_TIME ? STATUS_TIME : STATUS_CUT;
	if (!n->used[0] && !n->used[1]) {
		if (n->relays == NULL)
			return STATUS_BLOCKED;
		return !targets_wanted(&n->targets) && relays_work(n->relays)
		    ? STATUS_KNOWN
		    : STATUS_PARTLY;
	}
	return blocked ? STATUS_BLOCKED : known ? STATUS_KNOWN : STATUS_PARTLY;
}

int
run_output(struct natprobe *n)
{
	char error[NATPROBE_ERROR_MAX];

	if (n->output.path != NULL ||
	    output_begin(&n->output, n->conf.json, NULL, error) == 0)
		return 0;
	fprintf(stderr, "natprobe: %s\n", error);
	return -1;
}

/* ---- evidence ---- */

int
run_tell(struct natprobe *n, int64_t unix_s)
{
	json_t *result = result_of(n, unix_s);
	/* The file first: who reads the words may stop doing so. */
	int failed = output_json(&n->output, result);

	if (!n->conf.quiet)
		failed |= output_words(&n->output, result, n->conf.rfc4787);
	output_end(&n->output);
	json_decref(result);
	return failed != 0 ? STATUS_USAGE : status_of(n);
}
