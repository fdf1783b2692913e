// SPDX-License-Identifier: Apache-2.0
//
// The file a sealing key lives in: 64 hex digits and a newline, readable by its owner only. Made once, atomically: it
// is written and synced under another name and then linked to its own, so a crash leaves a whole key or none, and of
// two servers that start at once one makes it and the other reads it. The awkward case is a file that is there but
// wrong: never replaced, since what was sealed with it would be lost.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"
#include "proto/crypto/seal.h"

#define TEXT_LEN ((size_t)2 * EZ_SEAL_KEY_LEN)

static ez_status refuse(ez_error *error, const char *path, const char *why) {
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "KEY_FILE", "the key file %s %s", path, why);
}

static ez_status refuse_errno(ez_error *error, const char *path, const char *what, int code) {
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "KEY_FILE", "the key file %s can't be %s: %s", path, what,
                        strerror(code));
}

static bool write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t put = write(fd, data, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        data += put;
        len -= (size_t)put;
    }
    return fsync(fd) == 0;
}

static void sync_folder(const char *path) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static ez_status make(const char *path, ez_error *error) {
    char other[PATH_MAX];
    if (snprintf(other, sizeof other, "%s.XXXXXX", path) >= (int)sizeof other)
        return refuse(error, path, "has too long a name");
    uint8_t key[EZ_SEAL_KEY_LEN];
    char text[TEXT_LEN + 2];
    if (ez_random(key, sizeof key) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    ez_hex(key, sizeof key, text);
    text[TEXT_LEN] = '\n';
    ez_wipe(key, sizeof key);
    int fd = mkostemp(other, O_CLOEXEC); // made with mode 0600
    if (fd < 0) {
        int code = errno;
        ez_wipe(text, sizeof text);
        return refuse_errno(error, path, "made", code);
    }
    bool ok = write_all(fd, text, TEXT_LEN + 1);
    int code = errno;
    ez_wipe(text, sizeof text);
    close(fd);
    if (ok && link(other, path) != 0) {
        code = errno;
        ok = code == EEXIST; // another process was first: its key counts
    }
    unlink(other);
    if (!ok)
        return refuse_errno(error, path, "made", code);
    sync_folder(path);
    return EZ_OK;
}

static int nibble(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool parse(const char *text, size_t len, uint8_t *key) {
    if (len == TEXT_LEN + 1 && text[TEXT_LEN] == '\n')
        len--;
    if (len != TEXT_LEN)
        return false;
    for (size_t i = 0; i < EZ_SEAL_KEY_LEN; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static ez_status check_mode(int fd, const char *path, ez_error *error) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return refuse_errno(error, path, "read", errno);
    if (!S_ISREG(info.st_mode))
        return refuse(error, path, "is no regular file");
    if (info.st_mode & 077)
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "KEY_FILE",
                            "the key file %s can be read by others (mode %04o): run chmod 600 on it", path,
                            (unsigned)(info.st_mode & 07777));
    return EZ_OK;
}

static ez_status take(int fd, const char *path, ez_sealer **out, ez_error *error) {
    ez_status status = check_mode(fd, path, error);
    if (status != EZ_OK)
        return status;
    char text[TEXT_LEN + 2];
    size_t len = 0;
    ssize_t got = 0;
    while (len < sizeof text && ((got = read(fd, text + len, sizeof text - len)) > 0 || (got < 0 && errno == EINTR)))
        len += got > 0 ? (size_t)got : 0;
    int code = errno;
    uint8_t key[EZ_SEAL_KEY_LEN];
    if (got < 0)
        status = refuse_errno(error, path, "read", code);
    else if (!parse(text, len, key))
        status = refuse(error, path, "does not hold 64 hex digits and a newline: put the right file back");
    else
        status = ez_sealer_create(key, out, error);
    ez_wipe(text, sizeof text);
    ez_wipe(key, sizeof key);
    return status;
}

ez_status ez_sealer_open(const char *path, bool may_make, ez_sealer **out, ez_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && may_make) {
        ez_status made = make(path, error);
        if (made != EZ_OK)
            return made;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    if (fd < 0 && errno == ENOENT)
        return refuse(error, path, "is missing: put it back, what is sealed can't be read without it");
    if (fd < 0)
        return refuse_errno(error, path, "opened", errno);
    ez_status status = take(fd, path, out, error);
    close(fd);
    return status;
}
