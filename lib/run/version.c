/* version: the only file that is compiled with -DVERSION. */
#include "run/version.h"

const char campusnet_version[] = VERSION;
