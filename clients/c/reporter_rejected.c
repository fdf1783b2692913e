// SPDX-License-Identifier: Apache-2.0
//
// Reading what was set aside because the server did not take it: <stream>.rejected, a segment with number 0.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/reporter_private.h"

typedef struct reading {
    ez_segment *file;
    ez_report_stream stream;
    ez_reporter_rejected *each;
    void *user;
    ez_status status;
    ez_error *error;
} reading;

static void give(void *user, const ez_record *record) {
    reading *read = user;
    if (record->type != EZ_RECORD_BATCH || read->status != EZ_OK) {
        return;
    }
    ez_buf body;
    ez_buf_init(&body, EZ_SPOOL_BODY_MAX);
    ez_status status = ez_segment_read(read->file, record->offset, &body, read->error);
    if (status == EZ_OK) {
        read->each(read->user, read->stream, (ez_slice){body.data, body.len}, NULL, true);
    } else if (status != EZ_DATA_LOSS) { // the others may still be good
        read->status = status;
    }
    if (body.data != NULL) {
        ez_wipe(body.data, body.cap);
    }
    ez_buf_fini(&body);
}

static ez_status read_file(int dir, reading *read, const ez_spool_key *key) {
    char name[EZ_SEGMENT_NAME];
    ez_spool_stream stream = read->stream == EZ_REPORT_USAGE ? EZ_SPOOL_USAGE : EZ_SPOOL_LOGS;
    snprintf(name, sizeof name, "%s.rejected", ez_spool_name(stream));
    if (faccessat(dir, name, F_OK, 0) != 0) {
        return ez_error_set(read->error, EZ_NOT_FOUND, "NOTHING_REJECTED", "No batch was rejected.");
    }
    uint64_t skipped;
    ez_status status = ez_segment_open(dir, name, (uint8_t)stream, 0, key, 1, &read->file, read->error);
    if (status == EZ_OK) {
        status = ez_segment_scan(read->file, give, read, &skipped, read->error);
    }
    ez_segment_close(read->file);
    return status == EZ_OK ? read->status : status;
}

ez_status ez_reporter_read_rejected(const char *spool_dir, const char *token, ez_report_stream stream,
                                    ez_reporter_rejected *each, void *user, ez_error *error) {
    ez_spool_key key = {0};
    ez_status status = ez_spool_key_make(token, &key, error);
    int dir = status == EZ_OK ? open(spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (status == EZ_OK && dir < 0) {
        status = ez_error_set(error, EZ_UNAVAILABLE, "SPOOL_DIR", "The spool's directory \"%s\" can't be read: %s.",
                              spool_dir, strerror(errno));
    }
    if (dir >= 0) {
        reading read = {.stream = stream, .each = each, .user = user, .error = error};
        status = read_file(dir, &read, &key);
        close(dir);
    }
    ez_spool_key_clear(&key);
    return status;
}
