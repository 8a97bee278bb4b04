/* key: texts as Tailscale's types/key writes them, and RFC 7748's example. */
#include "pure/key.h"
#include "tests/tap.h"
#include "tests/unit/derp_vectors.h"

#define HEX_PUB \
	"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
#define HEX_UPPER \
	"07A37CBC142093C8B755DC1B10E86CB426374AD16AA853ED0BDFC0B2B86D1C7C"

static void
test_text(void)
{
	char text[KEY_TEXT_MAX], small[KEY_SHORT_MAX];
	struct key high;

	memset(&high, 0xff, sizeof(high));
	eq_str(key_text(&client_pub, KEY_HEX, text), HEX_PUB, "bare");
	eq_str(key_text(&client_pub, KEY_NODE, text), "nodekey:" HEX_PUB,
	    "a node's key");
	eq_str(key_text(&client_pub, KEY_PRIVATE, text), "privkey:" HEX_PUB,
	    "a private key");
	eq_str(key_short(&client_pub, small), "[B6N8v]",
	    "the short form is Go's ShortString");
	eq_str(key_short(&server_pub, small), "[ST6C/]", "with a slash");
	eq_str(key_short(&high, small), "[/////]", "all ones");
	ok(key_short(&high, small) == small &&
		key_text(&high, KEY_HEX, text) == text,
	    "both return their argument");
}

struct parse_row {
	const char *what, *prefix, *text;
	size_t n; /* 0: all of the text */
	bool good;
};

static const struct parse_row parse_rows[] = {
    {"bare", KEY_HEX, HEX_PUB, 0, true},
    {"upper case", KEY_HEX, HEX_UPPER, 0, true},
    {"nodekey", KEY_NODE, "nodekey:" HEX_PUB, 0, true},
    {"privkey", KEY_PRIVATE, "privkey:" HEX_UPPER, 0, true},
    {"text behind n is not read", KEY_HEX, HEX_PUB "zz", 64, true},
    {"one digit short", KEY_HEX, HEX_PUB, 63, false},
    {"one digit more", KEY_HEX, HEX_PUB "0", 0, false},
    {"empty", KEY_HEX, "", 0, false},
    {"only a prefix", KEY_NODE, "nodekey:", 0, false},
    {"no prefix", KEY_NODE, HEX_PUB, 0, false},
    {"as long, but no prefix", KEY_NODE, HEX_PUB "01234567", 0, false},
    {"another prefix", KEY_NODE, "privkey:" HEX_PUB, 0, false},
    {"a prefix of other case", KEY_NODE, "NODEKEY:" HEX_PUB, 0, false},
    {"an unexpected prefix", KEY_HEX, "nodekey:" HEX_PUB, 0, false},
    {"a blank in front", KEY_HEX, " " HEX_PUB, 64, false},
    {"a newline at the end", KEY_HEX, HEX_PUB "\n", 0, false},
    {"a letter beyond f", KEY_HEX,
	"g7a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c", 0,
	false},
    {"the same at the end", KEY_HEX,
	"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7g", 0,
	false},
    {"colons between bytes", KEY_HEX,
	"07:a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7", 0,
	false},
    {"a zero byte inside", KEY_HEX,
	"07\0a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c", 64,
	false},
};

static void
test_parse(void)
{
	for (size_t i = 0; i < sizeof(parse_rows) / sizeof(parse_rows[0]);
	     i++) {
		const struct parse_row *r = &parse_rows[i];
		size_t n = r->n == 0 ? strlen(r->text) : r->n;
		struct key k = {{0}};
		bool good = key_parse(&k, r->prefix, r->text, n);

		ok(good == r->good && (!good || key_equal(&k, &client_pub)),
		    r->what);
	}
}

/* What is written can be read, whatever the bytes. */
static void
test_round_trip(void)
{
	char text[KEY_TEXT_MAX];
	struct key k, back;
	bool same = true;

	for (int i = 0; i < 256; i++) {
		memset(&k, i, sizeof(k));
		k.b[i % KEY_LEN] ^= 0x5a;
		key_text(&k, KEY_NODE, text);
		same &= key_parse(&back, KEY_NODE, text, strlen(text)) &&
		    key_equal(&k, &back);
	}
	ok(same, "256 keys to text and back");
}

static void
test_compare(void)
{
	struct key zero = {{0}}, k;
	bool each = true;

	ok(key_is_zero(&zero) && !key_is_zero(&client_pub), "zero");
	ok(key_equal(&client_pub, &client_pub) &&
		!key_equal(&client_pub, &server_pub),
	    "equal");
	for (size_t i = 0; i < KEY_LEN; i++) {
		k = zero;
		k.b[i] = 0x80;
		each &= !key_is_zero(&k) && !key_equal(&k, &zero);
	}
	ok(each, "each byte counts");
}

static void
test_derive(void)
{
	/* RFC 7748 section 6.1. */
	static const struct key alice = {{0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18,
	    0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf,
	    0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
	    0x1d, 0xb9, 0x2c, 0x2a}};
	static const struct key alice_pub = {{0x85, 0x20, 0xf0, 0x09, 0x89,
	    0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
	    0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9,
	    0x8e, 0xaa, 0x9b, 0x4e, 0x6a}};
	struct key k, all;

	key_public(&k, &alice);
	eq_mem(k.b, alice_pub.b, KEY_LEN, "RFC 7748's Alice");
	key_public(&k, &client_priv);
	eq_mem(k.b, client_pub.b, KEY_LEN, "Go's NodePrivate.Public");

	memset(&all, 0xff, sizeof(all));
	key_clamp(&all);
	ok(all.b[0] == 0xf8 && all.b[1] == 0xff && all.b[30] == 0xff &&
		all.b[31] == 0x7f,
	    "clamping clears the low three bits and the highest");
	memset(&all, 0, sizeof(all));
	key_clamp(&all);
	ok(all.b[0] == 0 && all.b[31] == 0x40, "and sets the second highest");
	all = client_priv;
	key_clamp(&all);
	key_public(&k, &all);
	eq_mem(k.b, client_pub.b, KEY_LEN, "the public key stays the same");
}

int
main(void)
{
	test_text();
	test_parse();
	test_round_trip();
	test_compare();
	test_derive();
	return tap_done();
}
