// SPDX-License-Identifier: Apache-2.0
//
// A copy is one line and the text as it came: "ez-models 1 <SHA-256 of the text> <SHA-256 of the URL> <ETag>". The line
// and the text are one file, so that an ETag is never sent for another text than it belongs to.
//
// Awkward: a name may lead to a pipe or a device, which would never end or never answer. Opening does not wait, and
// only a regular file is read, to its size as it was then.
#include "server/domain/routing/models/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "server/domain/routing/models/catalogue_json.h"

#define COPY_NAME "models.copy"
#define COPY_MARK "ez-models 1 "
#define HEX_LEN   (2 * EZ_SHA256_LEN)
#define HEAD_MAX  (sizeof COPY_MARK + 2 * (HEX_LEN + 1) + EZ_MODEL_ETAG_MAX + 1)

void ez_model_text_fini(ez_model_text *text) {
    free(text->data);
    text->data = NULL;
}

static ez_status unreadable(const char *path, const char *why, ez_error *error) {
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "MODELS_FILE_UNREADABLE",
                        "the catalogue of models, EZ_MODELS_FILE=%.200s, can't be read: %s", path, why);
}

static bool read_all(int fd, char *data, size_t *len) {
    size_t done = 0;
    while (done < *len) {
        ssize_t got = read(fd, data + done, *len - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break; // it was cut short meanwhile
        done += (size_t)got;
    }
    *len = done;
    return true;
}

static ez_status read_open(int fd, const char *path, size_t max, ez_model_text *out, ez_error *error) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return unreadable(path, strerror(errno), error);
    if (!S_ISREG(info.st_mode))
        return unreadable(path, "it is no regular file", error);
    if ((uint64_t)info.st_size > max)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "CATALOGUE_TOO_LARGE",
                            "the catalogue of models, %.200s, has %lld bytes, at most %u are read", path,
                            (long long)info.st_size, EZ_CATALOGUE_TEXT_MAX);
    size_t len = (size_t)info.st_size;
    ez_autofree char *data = malloc(len + 1);
    if (!data)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the catalogue of models");
    if (!read_all(fd, data, &len))
        return unreadable(path, strerror(errno), error);
    data[len] = 0;
    *out = (ez_model_text){.data = data, .len = len};
    data = NULL;
    return EZ_OK;
}

static ez_status read_file(const char *path, size_t max, ez_model_text *out, ez_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return unreadable(path, strerror(errno), error);
    ez_status status = read_open(fd, path, max, out, error);
    close(fd);
    return status;
}

ez_status ez_model_file_read(const char *path, ez_model_text *out, ez_error *error) {
    return read_file(path, EZ_CATALOGUE_TEXT_MAX, out, error);
}

// ---- The copy

static void hex_of(const void *data, size_t len, char out[HEX_LEN + 1]) {
    uint8_t hash[EZ_SHA256_LEN];
    ez_sha256(data, len, hash);
    ez_hex(hash, sizeof hash, out);
}

// Without the line's end.
static size_t write_head(const char *url, const ez_model_text *text, char out[HEAD_MAX]) {
    char of_text[HEX_LEN + 1], of_url[HEX_LEN + 1];
    hex_of(text->data, text->len, of_text);
    hex_of(url, strlen(url), of_url);
    return (size_t)snprintf(out, HEAD_MAX, COPY_MARK "%s %s %s", of_text, of_url, text->etag);
}

// Cuts the head off the text, where it is one that fits both the text and the URL.
static bool take_head(const char *url, ez_model_text *text) {
    char *end = memchr(text->data, '\n', text->len < HEAD_MAX ? text->len : HEAD_MAX);
    size_t fixed = strlen(COPY_MARK) + 2 * (HEX_LEN + 1);
    size_t len = end ? (size_t)(end - text->data) : 0;
    if (len < fixed || len - fixed >= EZ_MODEL_ETAG_MAX)
        return false;
    ez_model_text body = {.data = end + 1, .len = text->len - len - 1};
    memcpy(body.etag, text->data + fixed, len - fixed);
    char head[HEAD_MAX];
    if (write_head(url, &body, head) != len || memcmp(head, text->data, len) != 0)
        return false;
    memcpy(text->etag, body.etag, sizeof text->etag);
    memmove(text->data, body.data, body.len + 1); // and its NUL
    text->len = body.len;
    return true;
}

bool ez_model_copy_read(const char *home, const char *url, ez_model_text *out) {
    ez_autofree char *path = NULL;
    if (asprintf(&path, "%s/" COPY_NAME, home) < 0) {
        path = NULL;
        return false;
    }
    ez_model_text text;
    if (read_file(path, EZ_CATALOGUE_TEXT_MAX + HEAD_MAX, &text, NULL) != EZ_OK)
        return false;
    if (!take_head(url, &text)) {
        ez_model_text_fini(&text);
        return false;
    }
    *out = text;
    return true;
}

static bool write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t done = write(fd, data, len);
        if (done < 0 && errno != EINTR)
            return false;
        data += done > 0 ? done : 0;
        len -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static bool write_copy(const char *path, const char *head, size_t head_len, const ez_model_text *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, head, head_len) && write_all(fd, "\n", 1) && write_all(fd, text->data, text->len) &&
              fsync(fd) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return ok;
}

static bool sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

ez_status ez_model_copy_write(const char *home, const char *url, const ez_model_text *text, ez_error *error) {
    ez_autofree char *path = NULL, *temporary = NULL;
    char head[HEAD_MAX];
    size_t head_len = write_head(url, text, head);
    if (asprintf(&path, "%s/" COPY_NAME, home) < 0 || asprintf(&temporary, "%s.new", path) < 0)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the copy of the catalogue");
    if (write_copy(temporary, head, head_len, text) && rename(temporary, path) == 0 && sync_folder(home))
        return EZ_OK;
    ez_status status =
        ez_error_set(error, EZ_FAILED_PRECONDITION, "HOME_UNUSABLE", "can't write %.200s: %s", path, strerror(errno));
    unlink(temporary);
    return status;
}
