// SPDX-License-Identifier: Apache-2.0
//
// EZ_HOME: the folder of a server's own files, and the lock that says a server lives in it.
#pragma once

#include "proto/runtime/error.h"

typedef struct ez_home ez_home;

// Makes the folder (0700) where it is missing and takes its lock, noting the URL calls are answered at.
// FAILED_PRECONDITION (HOME_LOCKED): a server lives here; *running_url (may be NULL) is then its URL, caller frees.
ez_status ez_home_open(const char *path, const char *rpc_url, ez_home **out, char **running_url,
                       ez_error *error) EZ_MUST_CHECK;
void ez_home_close(ez_home *home);

// EZ_HOME/name. Caller frees; NULL where there is no memory.
char *ez_home_file(const char *path, const char *name);
// Writes a small file with mode 0600, whole or not at all.
ez_status ez_home_write(const char *path, const char *name, const char *text, ez_error *error) EZ_MUST_CHECK;
// Reads a small text file without its trailing newline. NOT_FOUND where there is none. Caller frees *out.
ez_status ez_home_read(const char *file, char **out, ez_error *error) EZ_MUST_CHECK;
