// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

#include "proto/runtime/status.h"

// Fills out from the system's generator. INTERNAL where it has none.
ez_status ez_random(void *out, size_t len) EZ_MUST_CHECK;
