// SPDX-License-Identifier: Apache-2.0
//
// Files a catalogue is read from: the one an admin names, and the copy of what a URL gave last, in EZ_HOME. Blocks on
// the disk: for the sync's own thread.
#pragma once

#include <stddef.h>

#include "proto/crypto/hash.h"
#include "proto/runtime/error.h"

#define EZ_MODEL_ETAG_MAX 256

// A catalogue's text. malloc; ez_auto(ez_model_text) or fini frees it.
typedef struct ez_model_text {
    char *data;
    size_t len;
    char etag[EZ_MODEL_ETAG_MAX]; // as it came: with its quotes; "" where there is none
} ez_model_text;
void ez_model_text_fini(ez_model_text *text);

// FAILED_PRECONDITION (MODELS_FILE_UNREADABLE): it is not there, may not be read, or is no regular file.
// RESOURCE_EXHAUSTED (CATALOGUE_TOO_LARGE): it is not read then.
ez_status ez_model_file_read(const char *path, ez_model_text *out, ez_error *error) EZ_MUST_CHECK;

// The copy of what url gave, with its ETag. False where there is none, it is of another URL, or it was damaged: the
// copy carries a hash of itself.
bool ez_model_copy_read(const char *home, const char *url, ez_model_text *out);
// Whole or not at all: to a temporary, synced, renamed.
ez_status ez_model_copy_write(const char *home, const char *url, const ez_model_text *text,
                              ez_error *error) EZ_MUST_CHECK;
