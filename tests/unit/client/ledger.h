// SPDX-License-Identifier: Apache-2.0
//
// What a control plane does with usage and logs, for tests of the reporter: a fake plane that keeps marks as the real
// one does, adds up what it took, and remembers what came in which order. It can forget, go back, and refuse.
#pragma once

#include "tests/unit/client/plane.h"

#define LEDGER_CALLS_MAX 4096

typedef struct ledger ledger;

typedef struct ledger_call {
    bool is_logs;
    uint64_t epoch, sequence;
    unsigned rows;
    ez_status code;
    bool is_repeat;
} ledger_call;

typedef struct ledger_sums {
    int64_t key_requests, key_tokens, api_key_requests, api_key_success, master_requests, quota_used;
    unsigned records, bodies, body_bytes;
    unsigned calls, usage_calls, log_calls, masterless; // masterless: flushes of keys that named no master
} ledger_sums;

// port: of its calls; 0: a free one.
ledger *ledger_start(int port);
void ledger_stop(ledger *book);
fake_plane *ledger_plane(ledger *book);
ledger_sums ledger_look(ledger *book);
ledger_call ledger_at(ledger *book, unsigned call);
// Marks of both streams are no more, what was added stays.
void ledger_forget(ledger *book);
// As after a restore: what was taken of this epoch from a sequence on is no more, neither marks nor sums.
void ledger_go_back(ledger *book, uint64_t epoch, uint64_t sequence);
// A batch with a key of this id is not taken.
void ledger_refuse_key(ledger *book, int64_t id);
