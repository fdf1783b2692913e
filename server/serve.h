// SPDX-License-Identifier: Apache-2.0
//
// The server, from its first socket to its last answer.
#pragma once

#include "proto/runtime/settings.h"

// Runs until SIGTERM or SIGINT. Returns the exit status; what went wrong is on stderr, in one line.
int ez_serve(const ez_settings *settings);
