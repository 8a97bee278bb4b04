/* derpbox: Go's boxes are opened, ours are Go's, and ClientInfo is judged as
 * Go's encoding/json judges it. */
#include <stdlib.h>

#include "pure/derpbox.h"
#include "tests/tap.h"
#include "tests/unit/derp_vectors.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static const struct key mesh = {{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00, 0x11, 0x22, 0x33,
    0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};

static void
count_up(uint8_t *p, size_t n, uint8_t from)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(from + i);
}

static void
test_secret(void)
{
	/* Of order 8: every private key gives the secret 0. */
	static const struct key low = {{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41,
	    0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
	    0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
	    0x5f, 0x49, 0xb8, 0x00}};
	static const struct key zero = {{0}}, one = {{1}};
	struct derpbox a, b;

	ok(derpbox_init(&a, &server_pub, &client_priv), "a client's box");
	eq_mem(a.shared, go_shared, 32, "Go's Precompute");
	ok(derpbox_init(&b, &client_pub, &server_priv), "a server's box");
	eq_mem(b.shared, go_shared, 32, "is the same");
	derpbox_clear(&a);
	ok(a.shared[0] == 0 && memcmp(a.shared, a.shared + 1, 31) == 0,
	    "cleared");
	ok(!derpbox_init(&a, &zero, &server_priv), "the zero key is refused");
	ok(!derpbox_init(&a, &one, &server_priv), "as is a low-order one");
	ok(!derpbox_init(&a, &low, &server_priv), "and another");
}

static void
test_seal(void)
{
	uint8_t nonce[DERPBOX_NONCE_LEN], sealed[200], copy[200];
	struct derpbox client, server;
	const char *text;
	bool each = true;

	count_up(nonce, sizeof(nonce), 9);
	derpbox_init(&client, &server_pub, &client_priv);
	derpbox_init(&server, &client_pub, &server_priv);
	memset(sealed, 0xee, sizeof(sealed));
	derpbox_seal(&client, sealed, "hello", 5, nonce);
	eq_mem(sealed, nonce, sizeof(nonce), "the nonce goes first");
	ok(sealed[45] == 0xee && memcmp(sealed + 40, "hello", 5) != 0,
	    "45 bytes in all, none of them readable");
	for (size_t i = 0; i < 45; i++) {
		memcpy(copy, sealed, sizeof(copy));
		copy[i] ^= 0x10;
		each &= derpbox_open(&server, copy, 45) == NULL;
	}
	ok(each, "a change of any byte shows");
	for (size_t n = 0; n < 45; n++) {
		memcpy(copy, sealed, sizeof(copy));
		each &= derpbox_open(&server, copy, n) == NULL;
	}
	ok(each, "as does any cut");
	text = derpbox_open(&server, sealed, 45);
	ok(text != NULL && memcmp(text, "hello", 5) == 0, "opened");
	ok((const uint8_t *)text >= sealed &&
		(const uint8_t *)text + 5 <= sealed + 45,
	    "inside the box");
	derpbox_seal(&client, sealed, "", 0, nonce);
	ok(derpbox_open(&server, sealed, 40) != NULL, "an empty text");
	ok(derpbox_open(&client, sealed, 39) == NULL, "39 bytes are no box");
}

static void
test_go_client_info(void)
{
	struct derp_client_info info = {0};
	struct derpbox box;
	uint8_t frame[256];
	const char *text;
	size_t n = sizeof(go_client_info) - DERP_HEADER_LEN - KEY_LEN;

	derpbox_init(&box, &client_pub, &server_priv);
	memcpy(frame, go_client_info, sizeof(go_client_info));
	text = derpbox_open(&box, frame + DERP_HEADER_LEN + KEY_LEN, n);
	ok(text != NULL, "Go's ClientInfo opens");
	ok(text != NULL && derp_client_info_parse(&info, text, n - 40) == NULL,
	    "and is understood");
	ok(info.version == 2 && info.can_ack_pings && !info.is_prober &&
		!info.has_mesh_key,
	    "all of it");

	n = sizeof(go_client_info_mesh) - DERP_HEADER_LEN - KEY_LEN;
	memcpy(frame, go_client_info_mesh, sizeof(go_client_info_mesh));
	text = derpbox_open(&box, frame + DERP_HEADER_LEN + KEY_LEN, n);
	ok(text != NULL && derp_client_info_parse(&info, text, n - 40) == NULL,
	    "that of a mesh peer");
	ok(info.version == 2 && !info.can_ack_pings && info.is_prober &&
		info.has_mesh_key && key_equal(&info.mesh_key, &mesh),
	    "with its key");
}

static void
test_server_info(void)
{
	uint8_t nonce[DERPBOX_NONCE_LEN], out[DERP_SERVER_INFO_SIZE];
	struct derpbox box;

	count_up(nonce, sizeof(nonce), 0x40);
	derpbox_init(&box, &client_pub, &server_priv);
	eq_int((int64_t)derp_server_info(out, &box, nonce),
	    sizeof(go_server_info), "ServerInfo's size");
	eq_mem(out, go_server_info, sizeof(go_server_info), "ServerInfo");
}

/* ---- ClientInfo ---- */

#define NO_JSON	  "client info is no JSON"
#define NO_OBJECT "client info is no JSON object"
#define BAD_MESH  "malformed mesh key"
#define S(x)	  (x), sizeof(x) - 1

enum { HAS_VERSION = 1, HAS_ACK = 2, HAS_PROBER = 4, HAS_MESH = 8 };

struct info_row {
	const char *text;
	size_t n;
	const char *why; /* NULL: good */
	unsigned set; /* what it says: HAS_VERSION: 2 */
};

static const struct info_row info_rows[] = {
    {S("{}"), NULL, 0},
    {S("null"), NULL, 0},
    {S(" \t\r\n{ } \n"), NULL, 0},
    {S("{\"version\":2,\"CanAckPings\":true,\"IsProber\":true}"), NULL,
	HAS_VERSION | HAS_ACK | HAS_PROBER},
    {S("{\"version\":2,\"CanAckPings\":false}"), NULL, HAS_VERSION},
    /* Names without regard to case; unknown ones mean nothing. */
    {S("{\"VERSION\":2,\"canackpings\":true,\"ISPROBER\":true}"), NULL,
	HAS_VERSION | HAS_ACK | HAS_PROBER},
    {S("{\"MeshKey\":\"" HEX "\"}"), NULL, HAS_MESH},
    {S("{\"MESHKEY\":\"" HEX "\"}"), NULL, HAS_MESH},
    {S("{\"Version2\":7,\"other\":[{\"a\":[1,2.5,null]}]}"), NULL, 0},
    {S("{\"\":1}"), NULL, 0},
    /* The last one counts. */
    {S("{\"version\":1,\"version\":2}"), NULL, HAS_VERSION},
    {S("{\"version\":1,\"Version\":2}"), NULL, HAS_VERSION},
    {S("{\"IsProber\":true,\"isprober\":false}"), NULL, 0},
    /* null leaves a field as it is, but for the mesh key. */
    {S("{\"version\":null,\"CanAckPings\":null,\"IsProber\":null,"
       "\"AppName\":null}"),
	NULL, 0},
    {S("{\"version\":2,\"Version\":null}"), NULL, HAS_VERSION},
    {S("{\"meshKey\":null}"), BAD_MESH, 0},
    /* Mesh keys: exactly 64 digits. */
    {S("{\"meshKey\":\"" HEX "\"}"), NULL, HAS_MESH},
    {S("{\"meshKey\":\"\"}"), BAD_MESH, 0},
    {S("{\"meshKey\":\"" HEX "0\"}"), BAD_MESH, 0},
    {S("{\"meshKey\":\" " HEX "\"}"), BAD_MESH, 0},
    {S("{\"meshKey\":\"0\"}"), BAD_MESH, 0},
    {S("{\"meshKey\":\"nodekey:" HEX "\"}"), BAD_MESH, 0},
    {S("{\"meshKey\":7}"), BAD_MESH, 0},
    {S("{\"meshKey\":[\"" HEX "\"]}"), BAD_MESH, 0},
    /* Wrong types. */
    {S("{\"version\":\"2\"}"), "version is no integer", 0},
    {S("{\"version\":2.5}"), "version is no integer", 0},
    {S("{\"version\":2e0}"), "version is no integer", 0},
    {S("{\"version\":true}"), "version is no integer", 0},
    {S("{\"CanAckPings\":1}"), "CanAckPings is no boolean", 0},
    {S("{\"CanAckPings\":\"true\"}"), "CanAckPings is no boolean", 0},
    {S("{\"IsProber\":0}"), "IsProber is no boolean", 0},
    {S("{\"AppName\":\"derpprobe\"}"), NULL, 0},
    {S("{\"AppName\":\"a\\u0000b\"}"), NULL, 0},
    {S("{\"AppName\":1}"), "AppName is no string", 0},
    /* The first fault is told. */
    {S("{\"AppName\":1,\"meshKey\":\"\"}"), "AppName is no string", 0},
    /* Other JSON. */
    {S("[]"), NO_OBJECT, 0},
    {S("2"), NO_OBJECT, 0},
    {S("\"{}\""), NO_OBJECT, 0},
    {S("true"), NO_OBJECT, 0},
    /* No JSON. */
    {S(""), NO_JSON, 0},
    {S(" "), NO_JSON, 0},
    {S("{"), NO_JSON, 0},
    {S("{\"version\":2"), NO_JSON, 0},
    {S("{\"version\":2,}"), NO_JSON, 0},
    {S("{version:2}"), NO_JSON, 0},
    {S("{'version':2}"), NO_JSON, 0},
    {S("{\"version\":02}"), NO_JSON, 0},
    {S("{\"version\":0x2}"), NO_JSON, 0},
    {S("{} {}"), NO_JSON, 0},
    {S("{}x"), NO_JSON, 0},
    {S("{}\0"), NO_JSON, 0},
    {S("\0{}"), NO_JSON, 0},
    {S("\xef\xbb\xbf{}"), NO_JSON, 0},
    {S("NULL"), NO_JSON, 0},
};

/* A row's text as one TAP line. */
static const char *
label(const struct info_row *r)
{
	static char out[200];
	size_t n = r->n < sizeof(out) - 1 ? r->n : sizeof(out) - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(r->text[i] < ' ' ? '.' : r->text[i]);
	out[n] = '\0';
	return out;
}

static void
test_parse(void)
{
	for (size_t i = 0; i < sizeof(info_rows) / sizeof(info_rows[0]); i++) {
		const struct info_row *r = &info_rows[i];
		struct derp_client_info info;
		/* Of exactly this size: nothing behind it may be read. */
		char *text = malloc(r->n == 0 ? 1 : r->n);
		const char *why;

		memcpy(text, r->text, r->n);
		why = derp_client_info_parse(&info, text, r->n);
		if (r->why != NULL) {
			eq_str(why, r->why, label(r));
			free(text);
			continue;
		}
		ok(why == NULL &&
			info.version == ((r->set & HAS_VERSION) ? 2 : 0) &&
			info.can_ack_pings == ((r->set & HAS_ACK) != 0) &&
			info.is_prober == ((r->set & HAS_PROBER) != 0) &&
			info.has_mesh_key == ((r->set & HAS_MESH) != 0) &&
			(!info.has_mesh_key ||
			    key_equal(&info.mesh_key, &mesh)),
		    label(r));
		free(text);
	}
}

/* As deep and as long as a frame allows: refused or not, but soon. */
static void
test_large(void)
{
	const size_t n = DERP_INFO_MAX - DERP_INFO_MIN;
	struct derp_client_info info;
	char *text = malloc(n);

	memset(text, '[', n);
	eq_str(
	    derp_client_info_parse(&info, text, n), NO_JSON, "262088 brackets");
	memset(text, ' ', n);
	memcpy(text, "{\"a\":\"", 6);
	memset(text + 6, 'x', n - 8);
	memcpy(text + n - 2, "\"}", 2);
	ok(derp_client_info_parse(&info, text, n) == NULL,
	    "a string of 262080 bytes");
	free(text);
}

static void
test_client_info(void)
{
	uint8_t nonce[DERPBOX_NONCE_LEN], out[DERP_CLIENT_INFO_SIZE];
	const size_t skip = DERP_HEADER_LEN + KEY_LEN;
	struct derp_client_info info = {0};
	struct derpbox client, server;
	const char *text;
	size_t n;

	count_up(nonce, sizeof(nonce), 1);
	derpbox_init(&client, &server_pub, &client_priv);
	derpbox_init(&server, &client_pub, &server_priv);
	n = derp_client_info(out, &client, &client_pub, nonce);
	ok(out[0] == DERP_CLIENT_INFO && out[4] == n - DERP_HEADER_LEN &&
		n <= sizeof(out),
	    "a ClientInfo of its size");
	eq_mem(out + DERP_HEADER_LEN, client_pub.b, KEY_LEN, "the key first");
	eq_mem(out + skip, nonce, sizeof(nonce), "then the nonce");
	text = derpbox_open(&server, out + skip, n - skip);
	ok(text != NULL &&
		derp_client_info_parse(
		    &info, text, n - skip - DERPBOX_OVERHEAD) == NULL,
	    "a server can read it");
	ok(info.version == DERP_PROTOCOL_VERSION && info.can_ack_pings &&
		info.is_prober && !info.has_mesh_key,
	    "a prober's");
}

int
main(void)
{
	test_secret();
	test_seal();
	test_go_client_info();
	test_client_info();
	test_server_info();
	test_parse();
	test_large();
	return tap_done();
}
