// SPDX-License-Identifier: Apache-2.0
//
// The writer's side of a transaction: where it begins and what became of it.
#pragma once

#include "server/state/directory/overlay.h"
#include "server/state/directory/txn.h"

struct ez_txn {
    ez_overlay *overlay;
    ez_call *call;
    size_t begin; // the overlay's mark where it began
    uint64_t epoch;
    uint64_t n; // the revision it will become
    int64_t now_ns;
    bool is_matched; // if_match was compared
    bool has_subject;
    size_t subject_at; // changes there were when the first put or delete became the subject; SIZE_MAX: the handler said
    int subject_kind;
    int64_t subject_id;
};

// What the audit calls it: "key:42", or "" where nothing was changed. out holds EZ_SUBJECT_MAX bytes.
#define EZ_SUBJECT_MAX 48
void ez_txn_subject_text(const ez_txn *txn, char *out);

// Compares if_match with what the subject was before, for a handler that changed without loading. OK where there is
// nothing to compare.
ez_status ez_txn_check_match(ez_txn *txn, ez_error *error) EZ_MUST_CHECK;
