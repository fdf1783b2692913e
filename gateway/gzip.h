// SPDX-License-Identifier: Apache-2.0
//
// ez_gzip: one deflate state, used again and again. Not shared between threads.
#pragma once

#include "gateway/uri.h"
#include "proto/runtime/buf.h"

typedef struct ez_gzip ez_gzip;

// level 1 (fast) to 9. RESOURCE_EXHAUSTED where there is no memory (about 256 KiB).
ez_status ez_gzip_create(int level, ez_gzip **out, ez_error *error) EZ_MUST_CHECK;
void ez_gzip_destroy(ez_gzip *gzip);

// Appends text, compressed, to out. RESOURCE_EXHAUSTED at the buffer's ceiling.
ez_status ez_gzip_write(ez_gzip *gzip, ez_text text, ez_buf *out) EZ_MUST_CHECK;
