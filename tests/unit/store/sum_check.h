// SPDX-License-Identifier: Apache-2.0
//
// Statistics queries beside a model of the records, where their steps are not of interest: totals alone.
#pragma once

#include "tests/unit/store/log_model.h"

// Asks count questions about ranges around now, by anything, chosen by rand(), and compares what they add up to.
void expect_totals(const place *at, ez_store *store, const log_model *model, int64_t now_ns, int count);
