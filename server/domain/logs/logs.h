// SPDX-License-Identifier: Apache-2.0
//
// ez_logs: request logs that data planes ship: ingest, queries, dashboards, retention; features and the error webhook.
#pragma once

#include "proto/runtime/error.h"

typedef struct ez_logs ez_logs;
