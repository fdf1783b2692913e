// SPDX-License-Identifier: Apache-2.0
//
// What went wrong, on stderr, and the exit status that goes with it. Main thread.
#pragma once

#include "proto/runtime/buf.h"
#include "proto/runtime/error.h"

typedef enum ez_ctl_exit {
    EZ_CTL_EXIT_OK = 0,
    EZ_CTL_EXIT_REFUSED = 1,     // the server said no, also to a part of a batch, or the output can't be written
    EZ_CTL_EXIT_USAGE = 2,       // the command line, a setting or a file it names
    EZ_CTL_EXIT_UNREACHABLE = 3, // no server, or no answer in time
} ez_ctl_exit;

// "ezctl: what is wrong", a line for each further violation. EZ_CTL_EXIT_USAGE.
int ez_ctl_report_usage(const ez_error *error);
// "ezctl: NOT_FOUND: there is no key 9 (KEY_NOT_FOUND)", then a line for each violation. REFUSED or UNREACHABLE.
int ez_ctl_report_refusal(const ez_error *error);
// One line, "ezctl: …".
void ez_ctl_note(const char *format, ...) EZ_PRINTF(1, 2);

// Writes all of it to stdout. OK, or REFUSED where that is not possible (and says so).
int ez_ctl_print(const ez_buf *text);
