// SPDX-License-Identifier: Apache-2.0
//
// The formats a text field may have (ez_format of schema.h). Any thread.
#pragma once

#include <stddef.h>

#include "proto/runtime/schema.h"

// NULL where text, valid UTF-8, is of the format; else what it must be, to stand behind the field's name.
const char *ez_format_fault(ez_format format, const char *text, size_t len);
