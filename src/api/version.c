#include "gshard.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

const char *gs_version(void) { return PACKAGE_VERSION; }
