// SPDX-License-Identifier: Apache-2.0
//
// A directory as plain as it can be: rows in arrays, every look-up a walk. The real one, and a transaction over it,
// must answer as this does. Values come from small sets, so that collisions, empty groups and returning names happen
// often.
#pragma once

#include "server/state/directory/directory.h"
#include "server/state/directory/txn.h"

#define MODEL_IDS   120 // per kind; ids are 1 … MODEL_IDS - 1
#define MODEL_NAMES 24  // different names
#define MODEL_REFS  6   // different references

typedef struct model_row {
    bool is_there;
    char name[16];
    char model[16];
    uint8_t token[32];
    bool has_token;
    int64_t ref;
    uint64_t revision;
    int weight; // tells versions of a row apart
} model_row;

typedef struct model_rows {
    model_row rows[EZ_KIND_COUNT][MODEL_IDS];
    int64_t next_id[EZ_KIND_COUNT];
} model_rows;

// Numbers that are the same in every run with the same seed.
typedef struct dice {
    uint64_t state;
} dice;
unsigned rng_below(dice *rng, unsigned bound);

void model_init(model_rows *model);

// A row of random values for a kind.
model_row model_random_row(int kind, dice *rng);
// Whether another row has a value that must be unique.
bool model_conflicts(const model_rows *model, int kind, int64_t id, const model_row *row);
// The row as its message, in arena.
ProtobufCMessage *model_message(int kind, int64_t id, const model_row *row, ez_arena *arena);

// What answers the questions: the directory or a transaction.
typedef struct model_view {
    const ez_directory *directory; // NULL: the transaction
    ez_txn *txn;
} model_view;

// Fails the test where any answer differs.
void model_check(const model_rows *model, const model_view *view);
// The digest of all config rows, computed anew from the view's entries.
void model_digest(const ez_directory *directory, uint8_t out[32], uint64_t *rows);
