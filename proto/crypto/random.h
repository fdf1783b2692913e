// SPDX-License-Identifier: Apache-2.0
//
// Random bytes that nobody can guess. Any thread; blocks only while the kernel's generator has not been seeded, which
// is early in a machine's boot.
#pragma once

#include <stddef.h>

#include "proto/runtime/status.h"

// Fills out from the system's generator. INTERNAL where it has none; out then holds nothing to use.
ez_status ez_random(void *out, size_t len) EZ_MUST_CHECK;
