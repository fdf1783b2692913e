// SPDX-License-Identifier: Apache-2.0
//
// A log record between its two forms: the message and the store's row. Pure.
#pragma once

#include "ez/v1/log.pb-c.h"
#include "proto/runtime/arena.h"
#include "server/state/store/meter.h"

// The row's texts point into the record. time_ns is the caller's to check.
void ez_record_to_row(const Ez__V1__LogRecord *record, ez_log_row *out);
// Texts and times in arena. is_own: without what a tenant must not see (which upstream served it, and with what). NULL
// where there is no memory.
Ez__V1__LogRecord *ez_record_from_row(const ez_log_row *row, bool is_own, ez_arena *arena) EZ_MUST_CHECK;
