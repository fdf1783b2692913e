// SPDX-License-Identifier: Apache-2.0
//
// One text file, appended to. What earlier processes wrote is read once, for the last line of each plane.
#include "tools/dpsim/truth.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_MAX  (16u << 20)
#define PLANES_MAX 1024

typedef struct last_line {
    int64_t plane;
    uint64_t note;
    bool is_open;
} last_line;

struct ez_truth {
    int fd;
    ez_buf lines;
    last_line last[PLANES_MAX];
    unsigned count;
};

static ez_status failed(ez_error *error, const char *path) {
    return ez_error_set(error, EZ_UNAVAILABLE, "TRUTH_IO", "The truth log %s can't be used: %s.", path,
                        strerror(errno));
}

static last_line *last_of(ez_truth *truth, int64_t plane) {
    for (unsigned i = 0; i < truth->count; i++) {
        if (truth->last[i].plane == plane) {
            return &truth->last[i];
        }
    }
    if (truth->count == PLANES_MAX) {
        return NULL;
    }
    truth->last[truth->count] = (last_line){.plane = plane};
    return &truth->last[truth->count++];
}

static void note_line(ez_truth *truth, const char *line) {
    int64_t plane;
    uint64_t note;
    bool is_begin = sscanf(line, "begin %" SCNd64 " %" SCNu64, &plane, &note) == 2;
    if (!is_begin && sscanf(line, "end %" SCNd64 " %" SCNu64, &plane, &note) != 2) {
        return;
    }
    last_line *last = last_of(truth, plane);
    if (last != NULL) {
        *last = (last_line){.plane = plane, .note = note, .is_open = is_begin};
    }
}

// Reads all lines; returns the bytes up to the end of the last whole one.
static off_t read_lines(ez_truth *truth, FILE *file) {
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    off_t good = 0;
    while ((len = getline(&line, &room, file)) > 0 && line[len - 1] == '\n') {
        note_line(truth, line);
        good += len;
    }
    free(line);
    return good;
}

ez_status ez_truth_open(const char *path, ez_truth **out, ez_error *error) {
    ez_truth *truth = calloc(1, sizeof *truth);
    if (truth == NULL) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a truth log.");
    }
    ez_buf_init(&truth->lines, LINES_MAX);
    truth->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int copy = truth->fd < 0 ? -1 : dup(truth->fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (file == NULL) {
        ez_status status = failed(error, path);
        ez_truth_close(truth);
        return status;
    }
    off_t good = read_lines(truth, file);
    fclose(file);
    if (ftruncate(truth->fd, good) != 0) {
        ez_status status = failed(error, path);
        ez_truth_close(truth);
        return status;
    }
    *out = truth;
    return EZ_OK;
}

void ez_truth_close(ez_truth *truth) {
    if (truth == NULL) {
        return;
    }
    if (truth->fd >= 0) {
        close(truth->fd);
    }
    ez_buf_fini(&truth->lines);
    free(truth);
}

uint64_t ez_truth_last(ez_truth *truth, int64_t plane, bool *is_open) {
    const last_line *last = last_of(truth, plane);
    *is_open = last != NULL && last->is_open;
    return last == NULL ? 0 : last->note;
}

static void print_usage(ez_buf *out, const ez_usage_delta *d) {
    if (d->of == EZ_USAGE_OF_API_KEY) {
        ez_buf_printf(out, " a%" PRId64 ":%" PRId64 ",%" PRId64 ",%" PRId64, d->id, d->requests, d->success,
                      d->failure);
        return;
    }
    ez_buf_printf(out, " %c%" PRId64 ":%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
                  d->of == EZ_USAGE_OF_KEY ? 'k' : 'm', d->id, d->requests, d->failure, d->tokens_in, d->tokens_out);
    if (d->of == EZ_USAGE_OF_KEY) {
        ez_buf_printf(out, ",%" PRId64, d->quota_used);
    }
    ez_buf_printf(out, ",%" PRId64, d->rate_limited);
}

void ez_truth_begin(ez_truth *truth, const ez_truth_step *step) {
    ez_buf_printf(&truth->lines,
                  "begin %" PRId64 " %" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, step->plane,
                  step->note, step->records, step->errors, step->tokens_in, step->tokens_out, step->cost_nano_usd);
    for (size_t i = 0; i < step->usage_count; i++) {
        print_usage(&truth->lines, &step->usage[i]);
    }
    ez_buf_putc(&truth->lines, '\n');
}

void ez_truth_end(ez_truth *truth, int64_t plane, uint64_t note, bool usage, bool logs) {
    ez_buf_printf(&truth->lines, "end %" PRId64 " %" PRIu64 " %d %d\n", plane, note, usage, logs);
}

ez_status ez_truth_commit(ez_truth *truth, bool is_durable, ez_error *error) {
    bool is_whole = !truth->lines.overflow;
    for (size_t at = 0; is_whole && at < truth->lines.len;) {
        ssize_t put = write(truth->fd, truth->lines.data + at, truth->lines.len - at);
        is_whole = put > 0 || errno == EINTR;
        at += put > 0 ? (size_t)put : 0;
    }
    is_whole = is_whole && (!is_durable || fdatasync(truth->fd) == 0);
    ez_buf_clear(&truth->lines);
    return is_whole ? EZ_OK : failed(error, "of this run");
}
