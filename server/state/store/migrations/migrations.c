// SPDX-License-Identifier: Apache-2.0
//
// The list of steps, and the few words in which the two dialects differ. Awkward: SQLite keeps "INTEGER PRIMARY KEY"
// as the row's own number only under exactly that name, so the key has a word of its own; and a table that is read in
// the order of a compound key is kept in that order (WITHOUT ROWID).
#include "server/state/store/migrations/migrations.h"

#include <assert.h>
#include <string.h>

#include "server/state/store/migrations/steps.h"

const ez_migration ez_migrations[] = {
    {1, ez_migration_0001}, {2, ez_migration_0002},  {3, ez_migration_0003}, {4, ez_migration_0004},
    {5, ez_migration_0005}, {6, ez_migration_0006},  {7, ez_migration_0007}, {8, ez_migration_0008},
    {9, ez_migration_0009}, {10, ez_migration_0010},
};
const size_t ez_migration_count = sizeof ez_migrations / sizeof ez_migrations[0];

int ez_migration_latest(void) {
    return ez_migrations[ez_migration_count - 1].version;
}

static const struct word {
    const char *name;
    const char *text[2]; // by ez_dialect
} words[] = {
    {"INT", {"INTEGER", "BIGINT"}},
    {"BYTES", {"BLOB", "BYTEA"}},
    {"KEY", {"INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY"}},
    {"ROOMY", {"STRICT", "WITH (fillfactor = 50)"}},
    {"BY_DAY", {"STRICT", "PARTITION BY RANGE (time_ns)"}},
    {"STRICT", {"STRICT", ""}},
    {"IN_POSTGRES", {"-- ", ""}}, // before a statement that only PostgreSQL is given
    {"CLUSTERED", {"STRICT, WITHOUT ROWID", ""}},
    {"CLUSTERED_ROOMY", {"STRICT, WITHOUT ROWID", "WITH (fillfactor = 50)"}},
};

static const char *word(const char *name, size_t len, ez_dialect dialect) {
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].name) == len && memcmp(words[i].name, name, len) == 0)
            return words[i].text[dialect];
    }
    return NULL;
}

ez_status ez_migration_render(const char *statement, ez_dialect dialect, ez_buf *out) {
    for (const char *at = statement; *at;) {
        const char *mark = strchr(at, '@');
        size_t plain = mark ? (size_t)(mark - at) : strlen(at);
        ez_status status = ez_buf_append(out, at, plain);
        if (status || !mark)
            return status;
        const char *end = strchr(mark + 1, '@');
        assert(end);
        const char *text = word(mark + 1, (size_t)(end - mark - 1), dialect);
        assert(text);
        status = ez_buf_puts(out, text);
        if (status)
            return status;
        at = end + 1;
    }
    return EZ_OK;
}
