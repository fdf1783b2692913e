// SPDX-License-Identifier: Apache-2.0
//
// Whether the refusals of a group with nothing to commit hold. Internal to the writer, on its thread.
#pragma once

#include "server/state/directory/group.h"

// A refusal may be wrong where another server has just made what is missing here: whoever made it there expects to find
// it here. A group with a commit was built on the newest state; one without asks the store. ABORTED with HEAD_MOVED
// where the group must run again. Where the store does not say, such refusals become UNAVAILABLE: nothing was done, and
// whoever asks again gets a true answer.
ez_status ez_refusals_check(ez_writer *writer, ez_error *error) EZ_MUST_CHECK;
// The same where a group's commit failed, which would have shown that they hold: those that the store does not confirm
// become UNAVAILABLE, as do all where another server's changes are known of since (is_old).
void ez_refusals_after_failure(ez_writer *writer, bool is_old);
