// SPDX-License-Identifier: Apache-2.0
//
// Step 8: alerts. A row holds its fingerprint (holds = 1) while it is open, or dismissed and reported ever since: one
// of each fingerprint at most, which the partial index sees to. gap_ns and raised_from are what the last report found:
// how long the alert had not been seen, and its severity where that was lower. The long texts stand last, so that
// whoever looks at the rest does not read them.
//
// Awkward: what a report changes is in no index, so that PostgreSQL updates the row within its page.
#include <stddef.h>

#include "server/state/store/migrations/steps.h"

const char *const ez_migration_0008[] = {
    "CREATE TABLE alerts (id @KEY@, type @INT@ NOT NULL, severity @INT@ NOT NULL, status @INT@ NOT NULL, holds @INT@ "
    "NOT NULL CHECK (holds = 1 OR status > 2), related_id @INT@ NOT NULL, related_missing @INT@ NOT NULL, count @INT@ "
    "NOT NULL, first_seen_ns @INT@ NOT NULL, last_seen_ns @INT@ NOT NULL, acknowledged_ns @INT@ NOT NULL, resolved_ns "
    "@INT@ NOT NULL, gap_ns @INT@ NOT NULL, raised_from @INT@ NOT NULL, title TEXT NOT NULL, related_type TEXT NOT "
    "NULL, related_name TEXT NOT NULL, fingerprint TEXT NOT NULL, acknowledged_by TEXT NOT NULL, resolved_by TEXT NOT "
    "NULL, note TEXT NOT NULL, message TEXT NOT NULL, metadata TEXT NOT NULL) @ROOMY@",
    "CREATE UNIQUE INDEX alerts_by_fingerprint ON alerts (fingerprint) WHERE holds = 1",
    "CREATE INDEX alerts_by_related ON alerts (related_type, related_id, id)",
    "CREATE INDEX alerts_by_status ON alerts (status, id)",
    "CREATE INDEX alerts_by_status_type ON alerts (status, type, id)",
    "CREATE INDEX alerts_open ON alerts (id) WHERE status < 3",
    "CREATE INDEX alerts_by_type ON alerts (type, id)",
    "CREATE INDEX alerts_by_severity ON alerts (severity, id)",
    "CREATE INDEX alerts_by_end ON alerts (resolved_ns, id) WHERE status > 2",
    // How many there are. Rows of what there never was are not there.
    "CREATE TABLE alert_counts (status @INT@ NOT NULL, severity @INT@ NOT NULL, type @INT@ NOT NULL, n @INT@ NOT NULL, "
    "PRIMARY KEY (status, severity, type)) @CLUSTERED@",
    // The next id, and how many there are in all; on PostgreSQL its lock lets one transaction at a time change alerts.
    "CREATE TABLE alert_head (one @KEY@ CHECK (one = 1), next_id @INT@ NOT NULL, total @INT@ NOT NULL) @STRICT@",
    "INSERT INTO alert_head (one, next_id, total) VALUES (1, 1, 0)",
    NULL,
};
