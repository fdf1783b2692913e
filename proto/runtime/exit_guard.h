// SPDX-License-Identifier: Apache-2.0
//
// A bound on ending. A store that is away holds up each thing that still wants it; and once everything that must not be
// lost is safe, nng before 1.6 can hang for ever when a connection is closed while a message arrives on it (nng #1543).
#pragma once

#include "proto/runtime/status.h"

// If the process has not ended by itself timeout_ms from now, says so in the log and ends it with this exit status, as
// a crash would: what is not durable by then was not answered either. Each call is a bound of its own.
void ez_exit_guard(unsigned timeout_ms, int exit_status);
