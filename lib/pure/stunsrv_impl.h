/* stunsrv_impl: what judging and writing share. For stunsrv*.c alone. */
#ifndef PURE_STUNSRV_IMPL_H
#define PURE_STUNSRV_IMPL_H

#include "pure/stunsrv.h"

/* The roles from which an answer can come now. */
unsigned stunsrv_roles(
    const struct stunsrv_site *site, const struct stunsrv_arrival *a);

/* The cookie of the arrival's source, of this slot of time or `ago` before:
 * siphash of the address and the slot's number. */
void stunsrv_cookie(const struct stunsrv_site *site,
    const struct stunsrv_arrival *a, uint64_t ago,
    uint8_t cookie[static STUNSRV_COOKIE_LEN]);

#endif
