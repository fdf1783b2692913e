// SPDX-License-Identifier: Apache-2.0
//
// ez_stats_groups: sums by group, for a database whose own GROUP BY sorts every row (SQLite: twice the time). Owned by
// one thread; what it hands out lives until fini.
#pragma once

#include "proto/runtime/arena.h"
#include "server/state/store/meter.h"

#define EZ_STATS_GROUPS_MAX 1000000 // of one query

typedef struct ez_stats_groups {
    ez_arena arena;
    ez_stats_row **slots; // open addressing
    size_t room;          // a power of two, or 0
    size_t count;
} ez_stats_groups;

void ez_stats_groups_init(ez_stats_groups *groups);
void ez_stats_groups_fini(ez_stats_groups *groups);
// The group of an id, or where model has bytes of a model; made with nothing in it where it is new.
// RESOURCE_EXHAUSTED (STATS_TOO_LARGE, NO_MEMORY).
ez_status ez_stats_groups_get(ez_stats_groups *groups, int64_t id, ez_slice model, ez_stats_row **out,
                              ez_error *error) EZ_MUST_CHECK;
// Hands each one on, ids ascending.
ez_status ez_stats_groups_each(ez_stats_groups *groups, ez_stats_fn *each, void *user, ez_error *error) EZ_MUST_CHECK;
