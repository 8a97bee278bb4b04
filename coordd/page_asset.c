/*
 * page_asset: style, script and icon, read by the assembler when this file is
 * compiled: the Makefile says that it depends on them.
 */
#include <string.h>

#include "coordd/page.h"

/* The path is seen from the top of the tree, where the compiler runs. */
#define ASSET(name, file)                                                      \
	__asm__(".pushsection .rodata\n"                                       \
		"page_" #name ":\n"                                            \
		".incbin \"coordd/page/" file "\"\n"                           \
		"page_" #name "_end:\n"                                        \
		".byte 0\n"                                                    \
		".popsection\n");                                              \
	extern const char page_##name[] __attribute__((visibility("hidden"))); \
	extern const char page_##name##_end[]                                  \
	    __attribute__((visibility("hidden")))

ASSET(css, "page.css");
ASSET(js, "page.js");
ASSET(icon, "icon.svg");

static const struct page_asset assets[] = {
    {"/page.css", "text/css; charset=utf-8", page_css, page_css_end, true},
    {"/page.js", "text/javascript; charset=utf-8", page_js, page_js_end, false},
    {"/icon.svg", "image/svg+xml", page_icon, page_icon_end, true},
};

const struct page_asset *
page_asset_find(const char *path)
{
	for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
		if (strcmp(path, assets[i].path) == 0)
			return &assets[i];
	return NULL;
}
