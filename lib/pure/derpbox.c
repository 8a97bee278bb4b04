/* derpbox: seals and opens on libsodium, reads ClientInfo with jansson. */
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <sodium.h>

#include "pure/derpbox.h"

_Static_assert(DERPBOX_NONCE_LEN == crypto_box_NONCEBYTES, "nonce");
_Static_assert(DERPBOX_MAC_LEN == crypto_box_MACBYTES, "mac");
_Static_assert(
    sizeof(((struct derpbox *)0)->shared) == crypto_box_BEFORENMBYTES,
    "shared secret");

bool
derpbox_init(
    struct derpbox *box, const struct key *peer, const struct key *priv)
{
	return !key_is_zero(peer) &&
	    crypto_box_beforenm(box->shared, peer->b, priv->b) == 0;
}

void
derpbox_clear(struct derpbox *box)
{
	sodium_memzero(box, sizeof(*box));
}

void
derpbox_seal(const struct derpbox *box, uint8_t *out, const void *text,
    size_t n, const uint8_t nonce[static DERPBOX_NONCE_LEN])
{
	memcpy(out, nonce, DERPBOX_NONCE_LEN);
	(void)crypto_box_easy_afternm(
	    out + DERPBOX_NONCE_LEN, text, n, nonce, box->shared);
}

const char *
derpbox_open(const struct derpbox *box, uint8_t *sealed, size_t n)
{
	uint8_t *cipher = sealed + DERPBOX_NONCE_LEN;

	if (n < DERPBOX_OVERHEAD ||
	    crypto_box_open_easy_afternm(cipher, cipher, n - DERPBOX_NONCE_LEN,
		sealed, box->shared) != 0)
		return NULL;
	return (const char *)cipher;
}

static const char *
take_field(struct derp_client_info *info, const char *name, const json_t *v)
{
	const char *text = json_string_value(v);

	if (strcasecmp(name, "meshKey") == 0) {
		info->has_mesh_key = text != NULL &&
		    key_parse(
			&info->mesh_key, KEY_HEX, text, json_string_length(v));
		return info->has_mesh_key ? NULL : "malformed mesh key";
	}
	/* To Go, null leaves a plain field as it is. */
	if (json_is_null(v))
		return NULL;
	if (strcasecmp(name, "version") == 0) {
		info->version = json_integer_value(v);
		return json_is_integer(v) ? NULL : "version is no integer";
	}
	if (strcasecmp(name, "CanAckPings") == 0) {
		info->can_ack_pings = json_is_true(v);
		return json_is_boolean(v) ? NULL : "CanAckPings is no boolean";
	}
	if (strcasecmp(name, "IsProber") == 0) {
		info->is_prober = json_is_true(v);
		return json_is_boolean(v) ? NULL : "IsProber is no boolean";
	}
	if (strcasecmp(name, "AppName") == 0)
		return json_is_string(v) ? NULL : "AppName is no string";
	return NULL;
}

const char *
derp_client_info_parse(
    struct derp_client_info *info, const char *text, size_t n)
{
	json_t *root =
	    json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	const char *name, *why = NULL;
	json_t *v;

	memset(info, 0, sizeof(*info));
	if (root == NULL)
		return "client info is no JSON";
	if (!json_is_object(root) && !json_is_null(root))
		why = "client info is no JSON object";
	json_object_foreach(root, name, v)
	{
		if (why == NULL)
			why = take_field(info, name, v);
	}
	json_decref(root);
	return why;
}

size_t
derp_client_info(uint8_t out[static DERP_CLIENT_INFO_SIZE],
    const struct derpbox *box, const struct key *client,
    const uint8_t nonce[static DERPBOX_NONCE_LEN])
{
	static const char text[] =
	    "{\"version\":2,\"CanAckPings\":true,\"IsProber\":true}";
	const size_t n = sizeof(text) - 1;
	struct wr w;
	uint8_t *sealed;

	_Static_assert(
	    DERP_HEADER_LEN + KEY_LEN + DERPBOX_OVERHEAD + sizeof(text) - 1 <=
		DERP_CLIENT_INFO_SIZE,
	    "client info fits");
	wr_init(&w, out, DERP_CLIENT_INFO_SIZE);
	derp_write_header(
	    &w, DERP_CLIENT_INFO, (uint32_t)(KEY_LEN + DERPBOX_OVERHEAD + n));
	wr_bytes(&w, client->b, KEY_LEN);
	sealed = wr_room(&w, DERPBOX_OVERHEAD + n);
	derpbox_seal(box, sealed, text, n, nonce);
	return wr_len(&w);
}

size_t
derp_server_info(uint8_t out[static DERP_SERVER_INFO_SIZE],
    const struct derpbox *box, const uint8_t nonce[static DERPBOX_NONCE_LEN])
{
	static const char text[] = "{\"version\":2}";
	const size_t n = sizeof(text) - 1;
	struct wr w;
	uint8_t *sealed;

	_Static_assert(DERP_HEADER_LEN + DERPBOX_OVERHEAD + sizeof(text) - 1 <=
		DERP_SERVER_INFO_SIZE,
	    "server info fits");
	wr_init(&w, out, DERP_SERVER_INFO_SIZE);
	derp_write_header(
	    &w, DERP_SERVER_INFO, (uint32_t)(DERPBOX_OVERHEAD + n));
	sealed = wr_room(&w, DERPBOX_OVERHEAD + n);
	derpbox_seal(box, sealed, text, n, nonce);
	return wr_len(&w);
}
