// SPDX-License-Identifier: Apache-2.0
//
// Segment files. A segment owns its descriptor. Awkward: nothing on a disk is to be believed: lengths are checked
// before they are used, a record counts only with its checksum, and a head that is damaged does not hide what stands
// behind it.
#include "clients/c/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/crypto/hash.h"

#define FILE_MAGIC "EZSPOOL1"
#define MAGIC      "EZR1"
#define KEY_PLACE  "ezplane data plane spool v1"
#define OWNER      "ezplane data plane spool owner v1"
#define SUM_LEN    8
#define FILE_MAX   (512u << 20)

enum { H_STREAM = 8, H_NUMBER = 16, H_NOTE = 24, H_OWNER = 32, H_SUM = 56 };
enum { R_TYPE = 4, R_LEN = 8, R_ROWS = 12, R_A = 16, R_B = 24, R_C = 32, R_BODY_SUM = 40, R_SUM = 56 };

static void put32(uint8_t *out, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put64(uint8_t *out, uint64_t value) {
    put32(out, (uint32_t)value);
    put32(out + 4, (uint32_t)(value >> 32));
}

static uint32_t get32(const uint8_t *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static uint64_t get64(const uint8_t *from) {
    return get32(from) | (uint64_t)get32(from + 4) << 32;
}

ez_status ez_spool_key_make(const char *token, ez_spool_key *out, ez_error *error) {
    uint8_t key[EZ_SHA256_LEN], owner[EZ_SHA256_LEN];
    ez_hmac_sha256(token, strlen(token), KEY_PLACE, strlen(KEY_PLACE), key);
    ez_hmac_sha256(token, strlen(token), OWNER, strlen(OWNER), owner);
    memcpy(out->owner, owner, sizeof out->owner);
    ez_status status = ez_sealer_create(key, &out->sealer, error);
    ez_wipe(key, sizeof key);
    return status;
}

void ez_spool_key_clear(ez_spool_key *key) {
    ez_sealer_destroy(key->sealer);
    key->sealer = NULL;
}

static ez_status failed(ez_error *error, const char *what, const char *name) {
    bool is_full = errno == ENOSPC || errno == EFBIG || errno == EDQUOT;
    return ez_error_set(error, EZ_UNAVAILABLE, is_full ? "DISK_FULL" : "SPOOL_IO", "The spool file %s can't be %s: %s.",
                        name, what, strerror(errno));
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a spool file.");
}

static bool write_at(int fd, const uint8_t *data, size_t len, uint64_t at) {
    for (size_t done = 0; done < len;) {
        ssize_t put = pwrite(fd, data + done, len - done, (off_t)(at + done));
        if (put < 0 && errno != EINTR) {
            return false;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool read_at(int fd, uint8_t *out, size_t len, uint64_t at) {
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(fd, out + done, len - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

// ---- Opening ----

static ez_segment *make(int dir, const char *name, uint8_t stream, uint64_t number) {
    ez_segment *segment = calloc(1, sizeof *segment);
    if (segment != NULL) {
        *segment = (ez_segment){.fd = -1, .dir = dir, .stream = stream, .number = number};
        snprintf(segment->name, sizeof segment->name, "%s", name);
    }
    return segment;
}

static void head_sum(const uint8_t head[EZ_SEGMENT_HEAD], uint8_t out[EZ_SHA256_LEN]) {
    ez_sha256(head, H_SUM, out);
}

ez_status ez_segment_create(int dir, const char *name, uint8_t stream, uint64_t number, uint64_t note,
                            const ez_spool_key *key, ez_segment **out, ez_error *error) {
    ez_segment *segment = make(dir, name, stream, number);
    if (segment == NULL) {
        return no_memory(error);
    }
    uint8_t head[EZ_SEGMENT_HEAD] = FILE_MAGIC, sum[EZ_SHA256_LEN];
    head[H_STREAM] = stream;
    put64(head + H_NUMBER, number);
    put64(head + H_NOTE, note);
    memcpy(head + H_OWNER, key->owner, EZ_SPOOL_OWNER);
    head_sum(head, sum);
    memcpy(head + H_SUM, sum, SUM_LEN);
    segment->fd = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (segment->fd < 0 || !write_at(segment->fd, head, sizeof head, 0) || fsync(segment->fd) != 0 || fsync(dir) != 0) {
        ez_status status = failed(error, "made", name);
        ez_segment_remove(segment);
        return status;
    }
    segment->key = key;
    segment->note = note;
    segment->size = sizeof head;
    *out = segment;
    return EZ_OK;
}

static ez_status read_head(ez_segment *segment, const ez_spool_key *keys, unsigned key_count, ez_error *error) {
    struct stat info;
    uint8_t head[EZ_SEGMENT_HEAD], sum[EZ_SHA256_LEN];
    if (fstat(segment->fd, &info) != 0) {
        return failed(error, "read", segment->name);
    }
    if (info.st_size < EZ_SEGMENT_HEAD) {
        return ez_error_set(error, EZ_DATA_LOSS, "SPOOL_TORN", "The spool file %s was never finished.", segment->name);
    }
    if (!read_at(segment->fd, head, sizeof head, 0)) {
        return failed(error, "read", segment->name);
    }
    head_sum(head, sum);
    if (memcmp(head, FILE_MAGIC, 8) != 0 || memcmp(sum, head + H_SUM, SUM_LEN) != 0 ||
        head[H_STREAM] != segment->stream || get64(head + H_NUMBER) != segment->number || info.st_size > FILE_MAX) {
        return ez_error_set(error, EZ_DATA_LOSS, "SPOOL_DAMAGED", "The header of the spool file %s is damaged.",
                            segment->name);
    }
    for (unsigned i = 0; i < key_count && segment->key == NULL; i++) {
        segment->key = memcmp(head + H_OWNER, keys[i].owner, EZ_SPOOL_OWNER) == 0 ? &keys[i] : NULL;
    }
    if (segment->key == NULL) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "SPOOL_FOREIGN",
                            "The spool file %s was written with another data plane's token: give it as previous_token, "
                            "or use another directory.",
                            segment->name);
    }
    segment->note = get64(head + H_NOTE);
    segment->size = (uint64_t)info.st_size;
    return EZ_OK;
}

ez_status ez_segment_open(int dir, const char *name, uint8_t stream, uint64_t number, const ez_spool_key *keys,
                          unsigned key_count, ez_segment **out, ez_error *error) {
    ez_segment *segment = make(dir, name, stream, number);
    if (segment == NULL) {
        return no_memory(error);
    }
    segment->fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    ez_status status = segment->fd < 0 ? failed(error, "opened", name) : read_head(segment, keys, key_count, error);
    if (status != EZ_OK) {
        ez_segment_close(segment);
        return status;
    }
    *out = segment;
    return EZ_OK;
}

void ez_segment_close(ez_segment *segment) {
    if (segment == NULL) {
        return;
    }
    if (segment->fd >= 0) {
        close(segment->fd);
    }
    free(segment);
}

// The name must be gone before that of a later one is: what a later segment says of this one's batches would be lost.
void ez_segment_remove(ez_segment *segment) {
    (void)unlinkat(segment->dir, segment->name, 0);
    (void)fsync(segment->dir);
    ez_segment_close(segment);
}

// ---- Records ----

static void record_sum(const ez_segment *segment, const uint8_t *head, uint8_t out[EZ_SHA256_LEN]) {
    uint8_t place[9] = {segment->stream};
    put64(place + 1, segment->number);
    const ez_sha256_part parts[] = {{segment->key->owner, EZ_SPOOL_OWNER}, {place, sizeof place}, {head, R_SUM}};
    ez_sha256_parts(parts, 3, out);
}

// What binds a body to its place.
static void body_place(const ez_segment *segment, uint64_t a, uint64_t b, uint8_t out[25]) {
    out[0] = segment->stream;
    put64(out + 1, segment->number);
    put64(out + 9, a);
    put64(out + 17, b);
}

ez_status ez_segment_encode(const ez_segment *segment, const ez_record *record, ez_slice body, ez_buf *out,
                            ez_error *error) {
    uint8_t head[EZ_RECORD_HEAD] = MAGIC, sum[EZ_SHA256_LEN], place[25];
    size_t start = out->len;
    if (ez_buf_append(out, head, sizeof head) != EZ_OK) {
        return no_memory(error);
    }
    body_place(segment, record->a, record->b, place);
    if (body.len > 0) {
        ez_status status = ez_seal(segment->key->sealer, body.data, body.len, place, sizeof place, out, error);
        if (status != EZ_OK) {
            out->len = start;
            return status;
        }
    }
    size_t len = out->len - start - sizeof head;
    head[R_TYPE] = (uint8_t)record->type;
    put32(head + R_LEN, (uint32_t)len);
    put32(head + R_ROWS, record->rows);
    put64(head + R_A, record->a);
    put64(head + R_B, record->b);
    put64(head + R_C, record->c);
    ez_sha256(out->data + start + sizeof head, len, sum);
    memcpy(head + R_BODY_SUM, sum, R_SUM - R_BODY_SUM);
    record_sum(segment, head, sum);
    memcpy(head + R_SUM, sum, SUM_LEN);
    memcpy(out->data + start, head, sizeof head);
    return EZ_OK;
}

// A record at data whose head is good and whose body is not longer than what there is.
static bool read_record(const ez_segment *segment, const uint8_t *data, size_t len, ez_record *out) {
    uint8_t sum[EZ_SHA256_LEN];
    if (len < EZ_RECORD_HEAD || memcmp(data, MAGIC, 4) != 0) {
        return false;
    }
    uint32_t body = get32(data + R_LEN);
    if (body > EZ_RECORD_MAX || body > len - EZ_RECORD_HEAD) {
        return false;
    }
    record_sum(segment, data, sum);
    if (memcmp(sum, data + R_SUM, SUM_LEN) != 0) {
        return false;
    }
    *out = (ez_record){.type = (ez_record_type)data[R_TYPE],
                       .body_len = body,
                       .rows = get32(data + R_ROWS),
                       .a = get64(data + R_A),
                       .b = get64(data + R_B),
                       .c = get64(data + R_C)};
    ez_sha256(data + EZ_RECORD_HEAD, body, sum);
    out->is_damaged = memcmp(sum, data + R_BODY_SUM, R_SUM - R_BODY_SUM) != 0;
    return true;
}

static void scan(const ez_segment *segment, const uint8_t *data, size_t len, ez_segment_each *each, void *user,
                 uint64_t *skipped) {
    *skipped = 0;
    for (size_t at = EZ_SEGMENT_HEAD; at < len;) {
        ez_record record;
        if (read_record(segment, data + at, len - at, &record)) {
            record.offset = at;
            each(user, &record);
            at += EZ_RECORD_HEAD + record.body_len;
            continue;
        }
        const uint8_t *next = memmem(data + at + 1, len - at - 1, MAGIC, 4);
        size_t to = next == NULL ? len : (size_t)(next - data);
        *skipped += to - at;
        at = to;
    }
}

ez_status ez_segment_scan(ez_segment *segment, ez_segment_each *each, void *user, uint64_t *skipped, ez_error *error) {
    uint8_t *data = malloc(segment->size);
    if (data == NULL) {
        return no_memory(error);
    }
    ez_status status = EZ_OK;
    if (read_at(segment->fd, data, segment->size, 0)) {
        scan(segment, data, segment->size, each, user, skipped);
    } else {
        status = failed(error, "read", segment->name);
    }
    free(data);
    return status;
}

ez_status ez_segment_append(ez_segment *segment, const ez_buf *records, bool is_durable, ez_error *error) {
    if (write_at(segment->fd, records->data, records->len, segment->size) &&
        (!is_durable || fdatasync(segment->fd) == 0)) {
        segment->size += records->len;
        return EZ_OK;
    }
    ez_status status = failed(error, "written", segment->name);
    if (ftruncate(segment->fd, (off_t)segment->size) != 0) {
        return status; // the next write begins at the same place; until then it has no commit, or the same batches
    }
    return status;
}

ez_status ez_segment_cut(ez_segment *segment, ez_error *error) {
    if (ftruncate(segment->fd, (off_t)segment->size) != 0 || fsync(segment->fd) != 0) {
        return failed(error, "cut", segment->name);
    }
    return EZ_OK;
}

ez_status ez_segment_read(const ez_segment *segment, uint64_t offset, ez_buf *out, ez_error *error) {
    uint8_t head[EZ_RECORD_HEAD];
    if (!read_at(segment->fd, head, sizeof head, offset)) {
        return failed(error, "read", segment->name);
    }
    uint32_t len = get32(head + R_LEN);
    size_t whole = EZ_RECORD_HEAD + (size_t)(len > EZ_RECORD_MAX ? 0 : len);
    uint8_t *data = malloc(whole);
    if (data == NULL) {
        return no_memory(error);
    }
    ez_record record;
    ez_status status = EZ_OK;
    if (!read_at(segment->fd, data, whole, offset)) {
        status = failed(error, "read", segment->name);
    } else if (!read_record(segment, data, whole, &record) || record.is_damaged) {
        status = ez_error_set(error, EZ_DATA_LOSS, "SPOOL_DAMAGED", "A batch in the spool file %s is damaged.",
                              segment->name);
    } else if (record.body_len > 0) {
        uint8_t place[25];
        body_place(segment, record.a, record.b, place);
        status =
            ez_unseal(segment->key->sealer, data + EZ_RECORD_HEAD, record.body_len, place, sizeof place, out, error);
    }
    free(data);
    return status;
}
