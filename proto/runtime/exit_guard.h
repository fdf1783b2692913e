// SPDX-License-Identifier: Apache-2.0
//
// A bound on ending. Once everything that must not be lost is safe, what is left is closing sockets and freeing memory;
// nng before 1.6 can hang there for ever when a connection is closed while a message arrives on it (nng #1543).
#pragma once

#include "proto/runtime/status.h"

// If the process has not ended by itself timeout_ms from now, says so in the log and ends it with this exit status.
// Call it once, when nothing that matters is left to do.
void ez_exit_guard(unsigned timeout_ms, int exit_status);
