/* version: the version of this build, from git. */
#ifndef RUN_VERSION_H
#define RUN_VERSION_H

extern const char campusnet_version[];

#endif
