// SPDX-License-Identifier: Apache-2.0
//
// The reference of REST as a page: every call with its parameters, body and reply, every object with its fields.
#pragma once

#include <jansson.h>

#include "proto/runtime/buf.h"

// document: OpenAPI 3.1 as the generator writes it. Failures show in the buffer's overflow.
void ez_reference_write(ez_buf *out, const json_t *document);
