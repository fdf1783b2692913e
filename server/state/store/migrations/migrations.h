// SPDX-License-Identifier: Apache-2.0
//
// The schema's history: numbered steps, forward only. A step that was released is never edited; a change is a new step.
// Read-only tables, any thread.
#pragma once

#include <stddef.h>

#include "proto/runtime/buf.h"

typedef struct ez_migration {
    int version;                   // 1, 2, …
    const char *const *statements; // ended by NULL; see ez_migration_render
} ez_migration;

extern const ez_migration ez_migrations[];
extern const size_t ez_migration_count;

// The newest version this program knows.
int ez_migration_latest(void);

typedef enum ez_dialect { EZ_DIALECT_SQLITE, EZ_DIALECT_POSTGRES } ez_dialect;

// Appends a statement with its words between @…@ replaced by the dialect's: @INT@, @BYTES@, @KEY@ (an integer primary
// key), @STRICT@, @CLUSTERED@, @ROOMY@, @CLUSTERED_ROOMY@ and @BY_DAY@ (table options). RESOURCE_EXHAUSTED where there
// is no memory.
ez_status ez_migration_render(const char *statement, ez_dialect dialect, ez_buf *out) EZ_MUST_CHECK;
