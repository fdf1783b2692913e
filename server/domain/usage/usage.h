// SPDX-License-Identifier: Apache-2.0
//
// ez_usage: what data planes count. Flushes, quotas, live numbers.
#pragma once

#include "proto/runtime/error.h"

typedef struct ez_usage ez_usage;
