/* key: key text codecs, comparison and derivation on libsodium. */
#include <string.h>

#include <sodium.h>

#include "pure/key.h"

const char *
key_text(
    const struct key *k, const char *prefix, char text[static KEY_TEXT_MAX])
{
	size_t n = strlen(prefix);

	memcpy(text, prefix, n);
	sodium_bin2hex(text + n, 2 * KEY_LEN + 1, k->b, KEY_LEN);
	return text;
}

bool
key_parse(struct key *k, const char *prefix, const char *text, size_t n)
{
	size_t plen = strlen(prefix), got = 0;
	const char *end = NULL;

	if (n != plen + 2 * KEY_LEN || memcmp(text, prefix, plen) != 0)
		return false;
	if (sodium_hex2bin(
		k->b, KEY_LEN, text + plen, 2 * KEY_LEN, NULL, &got, &end) != 0)
		return false;
	return got == KEY_LEN && end == text + n;
}

const char *
key_short(const struct key *k, char text[static KEY_SHORT_MAX])
{
	char b64[sodium_base64_ENCODED_LEN(6, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(
	    b64, sizeof(b64), k->b, 6, sodium_base64_VARIANT_ORIGINAL);
	text[0] = '[';
	memcpy(text + 1, b64, 5);
	text[6] = ']';
	text[7] = '\0';
	return text;
}

bool
key_equal(const struct key *a, const struct key *b)
{
	return sodium_memcmp(a->b, b->b, KEY_LEN) == 0;
}

bool
key_is_zero(const struct key *k)
{
	return sodium_is_zero(k->b, KEY_LEN) == 1;
}

void
key_clamp(struct key *priv)
{
	priv->b[0] &= 248;
	priv->b[31] = (uint8_t)((priv->b[31] & 127) | 64);
}

void
key_public(struct key *pub, const struct key *priv)
{
	(void)crypto_scalarmult_base(pub->b, priv->b);
}
