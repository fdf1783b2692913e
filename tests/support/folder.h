// SPDX-License-Identifier: Apache-2.0
//
// Temporary folders, and small files in them.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define EZ_TEST_PATH_MAX 256

// Makes a folder below TMPDIR (else /tmp), mode 0700. path holds EZ_TEST_PATH_MAX bytes. Fails the test where it can't.
// A test that fails does not reach its .fini: its folder stays, for a look at what its server wrote.
void given_folder(char *path);
// Removes it with everything in it; does not follow links.
void remove_folder(const char *path);

// The file as text, NUL-terminated, at most 16 MiB; the caller frees it. NULL where there is none.
char *read_file(const char *path);
void write_file(const char *path, const void *data, size_t len);
