// SPDX-License-Identifier: Apache-2.0
//
// The applied configuration on disk, so that a data plane starts and serves with the control plane down. The file is
// magic | SHA-256 of the rest | sealed FetchConfigResponse, a snapshot with secrets. The session owns the paths and the
// sealing key, which comes from the data plane's token: a copied file is of no use to another. Awkward: encoding is
// done by the worker, between two changes, so that the file is of one revision; sealing and fsync by the writer, which
// has the plain bytes until it says it is done.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/c/session_private.h"
#include "ez/v1/config.pb-c.h"
#include "proto/crypto/hash.h"
#include "proto/runtime/clock.h"
#include "proto/runtime/log.h"
#include "proto/runtime/wire.h"

#define MAGIC     "EZCACHE1"
#define MAGIC_LEN 8
#define HEAD_LEN  (MAGIC_LEN + EZ_SHA256_LEN)
// Bytes before sealing. A key takes 145 bytes here with nothing but its name, 310 with limits, scopes, addresses and
// labels: this has room for a million of 1 KiB, or for all rows that a session may hold where they are plain.
#define CACHE_MAX (1u << 30)
#define FILE_MAX  ((size_t)CACHE_MAX + HEAD_LEN + EZ_SEAL_OVERHEAD)
// Of a row, beside its bytes and its secret: tags, lengths, kind, id, versions.
#define ROW_HEAD  48
#define PLACE     "ezplane data plane cache v1"
#define PLACE_MAX 48

static bool make_paths(ez_session_cache *cache, const char *dir) {
    cache->directory = strdup(dir);
    if (asprintf(&cache->path, "%s/config.cache", dir) < 0) {
        cache->path = NULL;
    }
    if (asprintf(&cache->temporary, "%s/config.cache.tmp", dir) < 0) {
        cache->temporary = NULL;
    }
    return cache->directory != NULL && cache->path != NULL && cache->temporary != NULL;
}

ez_status ez_cache_open(ez_session *session, ez_error *error) {
    ez_session_cache *cache = &session->cache;
    ez_buf_init(&cache->plain, CACHE_MAX);
    const char *dir = session->options.cache_dir;
    if (dir == NULL) {
        return EZ_OK;
    }
    if (!make_paths(cache, dir)) {
        return ez_error_set(error, EZ_UNAVAILABLE, "NO_MEMORY", "There is no memory for a session's cache.");
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return ez_error_set(error, EZ_INVALID_ARGUMENT, "CACHE_DIR", "The cache's directory \"%s\" can't be made: %s.",
                            dir, strerror(errno));
    }
    uint8_t key[EZ_SHA256_LEN];
    ez_hmac_sha256(session->token, strlen(session->token), PLACE, strlen(PLACE), key);
    ez_status status = ez_sealer_create(key, &cache->sealer, error);
    ez_wipe(key, sizeof key);
    return status == EZ_OK ? ez_group_need_writer(session->group, error) : status;
}

static void clear_plain(ez_session_cache *cache) {
    if (cache->plain.data != NULL) {
        ez_wipe(cache->plain.data, cache->plain.len);
    }
    ez_buf_fini(&cache->plain);
    ez_buf_init(&cache->plain, CACHE_MAX);
}

void ez_cache_close(ez_session *session) {
    ez_session_cache *cache = &session->cache;
    clear_plain(cache);
    ez_sealer_destroy(cache->sealer);
    free(cache->path);
    free(cache->temporary);
    free(cache->directory);
}

// ---- Reading ----

static ez_status read_all(int fd, ez_buf *out) {
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size > (off_t)FILE_MAX || ez_buf_reserve(out, (size_t)info.st_size) != EZ_OK) {
        return EZ_RESOURCE_EXHAUSTED;
    }
    while (out->len < (size_t)info.st_size) {
        ssize_t got = read(fd, out->data + out->len, (size_t)info.st_size - out->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return EZ_DATA_LOSS;
        }
        out->len += (size_t)got;
    }
    return EZ_OK;
}

static ez_status open_file(const ez_session_cache *cache, ez_buf *file, ez_error *error) {
    int fd = open(cache->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT
                   ? EZ_NOT_FOUND
                   : ez_error_set(error, EZ_UNAVAILABLE, "CACHE_READ", "it can't be opened: %s", strerror(errno));
    }
    ez_status status = read_all(fd, file);
    close(fd);
    return status == EZ_OK ? EZ_OK : ez_error_set(error, status, "CACHE_READ", "it can't be read, or is too large");
}

// What a sealed copy is bound to: one of other kinds would lack rows, or hold ones that nobody keeps up to date.
static void place_of(const ez_session *session, char out[PLACE_MAX]) {
    if (session->kinds == 0) {
        snprintf(out, PLACE_MAX, "%s", PLACE);
    } else {
        snprintf(out, PLACE_MAX, "%s kinds %x", PLACE, session->kinds);
    }
}

static ez_status unseal(const ez_session *session, const ez_buf *file, ez_buf *plain, ez_error *error) {
    uint8_t sum[EZ_SHA256_LEN];
    if (file->len < HEAD_LEN || memcmp(file->data, MAGIC, MAGIC_LEN) != 0) {
        return ez_error_set(error, EZ_DATA_LOSS, "CACHE_INVALID", "it is no cache of this version");
    }
    ez_sha256(file->data + HEAD_LEN, file->len - HEAD_LEN, sum);
    if (memcmp(sum, file->data + MAGIC_LEN, sizeof sum) != 0) {
        return ez_error_set(error, EZ_DATA_LOSS, "CACHE_DAMAGED", "its checksum is wrong: the file is damaged");
    }
    char place[PLACE_MAX];
    place_of(session, place);
    if (ez_unseal(session->cache.sealer, file->data + HEAD_LEN, file->len - HEAD_LEN, place, strlen(place), plain,
                  NULL) != EZ_OK) {
        return ez_error_set(error, EZ_DATA_LOSS, "CACHE_TOKEN", "it was sealed with another token, or for other kinds");
    }
    return EZ_OK;
}

static ez_status load_rows(ez_session *session, ez_slice plain, ez_error *error) {
    ez_page page;
    if (!ez_page_read(plain, &page) || page.from.epoch == 0) {
        return ez_error_set(error, EZ_DATA_LOSS, "CACHE_INVALID", "its content can't be decoded");
    }
    size_t at = 0;
    ez_change change;
    bool bad = false;
    while (ez_change_next(plain, 4, &at, &change, &bad)) {
        ez_apply_change(session, &change);
    }
    if (bad) {
        return ez_error_set(error, EZ_DATA_LOSS, "CACHE_INVALID", "a row of it can't be decoded");
    }
    session->at = page.from;
    session->is_consistent = true;
    session->cache.is_dirty = false;
    if (session->options.on_revision != NULL) {
        session->options.on_revision(session->options.user, session->at, true);
    }
    return EZ_OK;
}

void ez_cache_load(ez_session *session) {
    ez_session_cache *cache = &session->cache;
    if (cache->path == NULL) {
        return;
    }
    ez_buf file, plain;
    ez_buf_init(&file, FILE_MAX);
    ez_buf_init(&plain, CACHE_MAX);
    ez_error error;
    ez_error_clear(&error);
    ez_status status = open_file(cache, &file, &error);
    if (status == EZ_OK) {
        status = unseal(session, &file, &plain, &error);
    }
    ez_buf_fini(&file); // hundreds of megabytes, where there are a million keys
    if (status == EZ_OK) {
        status = load_rows(session, (ez_slice){plain.data, plain.len}, &error);
    }
    if (status != EZ_OK && status != EZ_NOT_FOUND) {
        ez_log_warn("the cached configuration is not used and will be replaced", "file", cache->path, "reason",
                    error.message);
    }
    if (plain.data != NULL) {
        ez_wipe(plain.data, plain.len);
    }
    ez_buf_fini(&plain);
}

// ---- Writing ----

static ez_status encode_head(const ez_session *session, ez_buf *out) {
    Ez__V1__Revision at = EZ__V1__REVISION__INIT;
    at.epoch = session->at.epoch;
    at.n = session->at.n;
    Ez__V1__FetchConfigResponse head = EZ__V1__FETCH_CONFIG_RESPONSE__INIT;
    head.mode = EZ__V1__FETCH_MODE__FETCH_MODE_SNAPSHOT;
    head.from = &at;
    return ez_buf_pack(out, &head.base);
}

static ez_status encode(ez_session *session, ez_buf *out) {
    // All room at once: the worker has events waiting, and growing would copy most of it again and again.
    uint64_t room = session->rows.bytes + session->rows.held * ROW_HEAD;
    ez_status status = ez_buf_reserve(out, room < CACHE_MAX ? (size_t)room : 0);
    if (status == EZ_OK) {
        status = encode_head(session, out);
    }
    for (uint32_t i = 0; i < session->rows.count && status == EZ_OK; i++) {
        const ez_row *row = &session->rows.rows[i];
        if (!row->is_held) {
            continue;
        }
        const ez_change change = {
            .kind = row->kind,
            .op = EZ__V1__OP__OP_PUT,
            .id = row->id,
            .secret_version = row->secret_version,
            .member = ez_change_member(row->kind),
            .resource = ez_row_bytes(row),
            .secret = row->data->secret_len > 0 ? ez_row_secret(row) : (ez_slice){0},
        };
        status = ez_change_write(out, 4, &change);
    }
    return status;
}

// What the writer said of its last job. True while it is at one.
static bool take_result(ez_session *session) {
    ez_session_cache *cache = &session->cache;
    pthread_mutex_lock(&session->group->mutex);
    bool is_busy = cache->is_busy;
    ez_status result = cache->result;
    cache->result = is_busy ? result : EZ_OK;
    pthread_mutex_unlock(&session->group->mutex);
    if (is_busy) {
        return true;
    }
    if (result != EZ_OK) {
        if (!cache->has_failed) {
            ez_log_warn("the configuration can't be cached; it is tried again", "file", cache->path, "reason",
                        cache->error.message);
        }
        cache->has_failed = true;
        cache->is_dirty = session->state < EZ_FOLLOW_CLOSING;
    } else if (cache->plain.len > 0) {
        cache->has_failed = false;
    }
    if (cache->plain.len > 0) {
        clear_plain(cache);
    }
    return false;
}

static void begin(ez_session *session, uint64_t now) {
    ez_session_cache *cache = &session->cache;
    cache->is_dirty = false;
    cache->next_ns = now + session->options.cache_interval_ms * EZ_MS;
    if (encode(session, &cache->plain) == EZ_OK) {
        ez_group_write(session->group, session);
        return;
    }
    if (!cache->has_failed) {
        ez_log_warn("the configuration is too large to be cached", "rows", EZ_LOG_INT(session->rows.held));
    }
    cache->has_failed = true;
    clear_plain(cache);
}

uint64_t ez_cache_run(ez_session *session, uint64_t now) {
    ez_session_cache *cache = &session->cache;
    if (cache->path == NULL || take_result(session) || !cache->is_dirty || !session->is_consistent) {
        return UINT64_MAX; // the writer, or the change that makes it so, wakes us
    }
    if (now < cache->next_ns) {
        return cache->next_ns;
    }
    begin(session, now);
    return UINT64_MAX;
}

bool ez_cache_flush(ez_session *session) {
    ez_session_cache *cache = &session->cache;
    if (cache->path == NULL) {
        return false;
    }
    if (take_result(session)) {
        return true;
    }
    if (cache->is_dirty && session->is_consistent && session->at.epoch != 0) {
        begin(session, ez_clock_mono_ns());
    }
    cache->is_dirty = false;
    return take_result(session);
}

static ez_status system_error(ez_error *error, const char *what, const char *path) {
    return ez_error_set(error, EZ_UNAVAILABLE, "CACHE_WRITE", "%s %s: %s", what, path, strerror(errno));
}

static ez_status write_all(int fd, const ez_buf *from, const char *path, ez_error *error) {
    for (size_t at = 0; at < from->len;) {
        ssize_t put = write(fd, from->data + at, from->len - at);
        if (put < 0 && errno != EINTR) {
            return system_error(error, "can't write", path);
        }
        at += put > 0 ? (size_t)put : 0;
    }
    return fsync(fd) == 0 ? EZ_OK : system_error(error, "can't fsync", path);
}

static ez_status write_temporary(const ez_session_cache *cache, const ez_buf *file, ez_error *error) {
    int fd = open(cache->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return system_error(error, "can't open", cache->temporary);
    }
    ez_status status = write_all(fd, file, cache->temporary, error);
    if (close(fd) != 0 && status == EZ_OK) {
        status = system_error(error, "can't close", cache->temporary);
    }
    return status;
}

// The new name is only sure to be there after a crash once the directory is on disk too.
static ez_status put_in_place(const ez_session_cache *cache, ez_error *error) {
    if (rename(cache->temporary, cache->path) != 0) {
        return system_error(error, "can't rename to", cache->path);
    }
    int fd = open(cache->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return system_error(error, "can't open", cache->directory);
    }
    ez_status status = fsync(fd) == 0 ? EZ_OK : system_error(error, "can't fsync", cache->directory);
    close(fd);
    return status;
}

ez_status ez_cache_write(ez_session *session, ez_error *error) {
    const ez_session_cache *cache = &session->cache;
    uint8_t head[HEAD_LEN] = MAGIC;
    ez_buf file;
    ez_buf_init(&file, FILE_MAX);
    ez_status status = ez_buf_append(&file, head, sizeof head);
    if (status == EZ_OK) {
        char place[PLACE_MAX];
        place_of(session, place);
        status = ez_seal(cache->sealer, cache->plain.data, cache->plain.len, place, strlen(place), &file, error);
    }
    if (status == EZ_OK) {
        ez_sha256(file.data + HEAD_LEN, file.len - HEAD_LEN, file.data + MAGIC_LEN);
        status = write_temporary(cache, &file, error);
    }
    if (status == EZ_OK) {
        status = put_in_place(cache, error);
    }
    ez_buf_fini(&file);
    return status;
}
