/* code: a key as text that a person can copy. PURE. */
#include <string.h>

#include <sodium.h>

#include "probes/natprobe/pair/message.h"

#define CHECK_LEN 3
#define CODE_LEN  (KEY_LEN + CHECK_LEN) /* 56 characters of 5 bits */
#define GROUP	  4

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

static void
check_of(uint8_t out[static CHECK_LEN], const struct key *k)
{
	uint8_t hash[crypto_generichash_BYTES_MIN];

	crypto_generichash(hash, sizeof(hash), k->b, KEY_LEN, NULL, 0);
	memcpy(out, hash, CHECK_LEN);
}

const char *
code_text(const struct key *k, char text[static CODE_MAX])
{
	uint8_t bytes[CODE_LEN];
	unsigned held = 0, bits = 0;
	size_t n = 0, written = 0;

	memcpy(bytes, k->b, KEY_LEN);
	check_of(bytes + KEY_LEN, k);
	for (size_t i = 0; i < CODE_LEN; i++) {
		held = held << 8 | bytes[i];
		for (bits += 8; bits >= 5; bits -= 5) {
			if (written > 0 && written % GROUP == 0)
				text[n++] = '-';
			text[n++] = letters[held >> (bits - 5) & 31];
			written++;
		}
	}
	text[n] = '\0';
	return text;
}

static int
value_of(char c)
{
	const char *at;

	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	c = c == '0' ? 'o' : c == '1' ? 'l' : c == '8' ? 'b' : c;
	at = c == '\0' ? NULL : strchr(letters, c);
	return at == NULL ? -1 : (int)(at - letters);
}

enum code
code_parse(struct key *k, const char *text)
{
	uint8_t bytes[CODE_LEN], check[CHECK_LEN];
	unsigned held = 0, bits = 0;
	size_t n = 0;
	int v;

	for (; *text != '\0'; text++) {
		if (*text == '-' || *text == ' ')
			continue;
		if ((v = value_of(*text)) == -1)
			return CODE_FORM;
		held = held << 5 | (unsigned)v;
		bits += 5;
		if (bits < 8)
			continue;
		if (n == CODE_LEN)
			return CODE_FORM;
		bits -= 8;
		bytes[n++] = (uint8_t)(held >> bits);
	}
	if (n != CODE_LEN || bits != 0)
		return CODE_FORM;
	memcpy(k->b, bytes, KEY_LEN);
	check_of(check, k);
	return memcmp(check, bytes + KEY_LEN, CHECK_LEN) == 0 ? CODE_OK
							      : CODE_TYPO;
}
