/*
 * client_info_fuzz: any bytes as the text of a ClientInfo; and as a box,
 * which must not open unless we sealed it.
 */
#include <stdlib.h>
#include <string.h>

#include "pure/derpbox.h"
#include "tests/unit/derp_vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_box(const uint8_t *data, size_t size)
{
	static const uint8_t nonce[DERPBOX_NONCE_LEN] = {7};
	struct derpbox client, server;
	uint8_t *sealed = malloc(size + DERPBOX_OVERHEAD);
	const char *text;

	if (sealed == NULL ||
	    !derpbox_init(&client, &server_pub, &client_priv) ||
	    !derpbox_init(&server, &client_pub, &server_priv))
		abort();
	derpbox_seal(&client, sealed, data, size, nonce);
	text = derpbox_open(&server, sealed, size + DERPBOX_OVERHEAD);
	if (text == NULL || (size > 0 && memcmp(text, data, size) != 0))
		abort();
	if (size > 0)
		memcpy(sealed, data, size);
	if (derpbox_open(&server, sealed, size) != NULL)
		abort();
	free(sealed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct derp_client_info info, again;
	const char *why =
	    derp_client_info_parse(&info, (const char *)data, size);
	static const struct key zero;

	if (why == NULL) {
		if (derp_client_info_parse(&again, (const char *)data, size) !=
			NULL ||
		    again.version != info.version ||
		    again.can_ack_pings != info.can_ack_pings ||
		    again.is_prober != info.is_prober ||
		    again.has_mesh_key != info.has_mesh_key ||
		    !key_equal(&again.mesh_key, &info.mesh_key))
			abort();
		/* A key that was not given is not half filled in. */
		if (!info.has_mesh_key && !key_equal(&info.mesh_key, &zero))
			abort();
	} else if (why[0] == '\0')
		abort();
	check_box(data, size);
	return 0;
}
