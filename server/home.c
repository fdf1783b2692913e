// SPDX-License-Identifier: Apache-2.0
//
// The lock is a flock on EZ_HOME/server.lock: it goes with the process, however that ends. The file holds the URL where
// the server answers, so that "ezplaned import" can hand its rows to it instead.
#include "server/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"

#define SMALL_FILE_MAX 65536

struct ez_home {
    int lock;
};

char *ez_home_file(const char *path, const char *name) {
    char *file = NULL;
    return asprintf(&file, "%s/%s", path, name) < 0 ? NULL : file;
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to start");
}

static ez_status take_lock(const char *file, const char *rpc_url, int *out, char **running_url, ez_error *error) {
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "HOME_UNUSABLE", "can't open %s: %s", file, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        if (running_url != NULL && ez_home_read(file, running_url, error) != EZ_OK) {
            *running_url = NULL;
        }
        return ez_error_set(
            error, EZ_FAILED_PRECONDITION, "HOME_LOCKED",
            "a server is already running in this EZ_HOME (%s is locked): stop it, or use another EZ_HOME", file);
    }
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%s\n", rpc_url) < 0) {
        close(fd);
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "HOME_UNUSABLE", "can't write %s: %s", file,
                            strerror(errno));
    }
    *out = fd;
    return EZ_OK;
}

ez_status ez_home_open(const char *path, const char *rpc_url, ez_home **out, char **running_url, ez_error *error) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "HOME_UNUSABLE", "can't make the folder EZ_HOME=%s: %s",
                            path, strerror(errno));
    }
    ez_autofree char *file = ez_home_file(path, "server.lock");
    ez_home *home = calloc(1, sizeof *home);
    if (file == NULL || home == NULL) {
        free(home);
        return no_memory(error);
    }
    ez_status status = take_lock(file, rpc_url, &home->lock, running_url, error);
    if (status != EZ_OK) {
        free(home);
        return status;
    }
    *out = home;
    return EZ_OK;
}

void ez_home_close(ez_home *home) {
    if (home != NULL) {
        close(home->lock);
        free(home);
    }
}

static bool write_all(int fd, const char *text) {
    size_t len = strlen(text);
    return write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
}

// A new name is sure to be there after a crash once the folder is on disk too.
static bool sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_synced;
}

ez_status ez_home_write(const char *path, const char *name, const char *text, ez_error *error) {
    ez_autofree char *file = ez_home_file(path, name);
    ez_autofree char *temporary = NULL;
    if (file == NULL || asprintf(&temporary, "%s.new", file) < 0) {
        return no_memory(error);
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, text);
    if (fd >= 0) {
        close(fd);
    }
    if (!is_written || rename(temporary, file) != 0 || !sync_folder(path)) {
        ez_status status =
            ez_error_set(error, EZ_FAILED_PRECONDITION, "HOME_UNUSABLE", "can't write %s: %s", file, strerror(errno));
        unlink(temporary);
        return status;
    }
    return EZ_OK;
}

ez_status ez_home_read(const char *file, char **out, ez_error *error) {
    FILE *in = fopen(file, "re");
    if (in == NULL) {
        return ez_error_set(error, EZ_NOT_FOUND, "FILE_MISSING", "can't read %s: %s", file, strerror(errno));
    }
    char *text = calloc(1, SMALL_FILE_MAX);
    size_t len = text != NULL ? fread(text, 1, SMALL_FILE_MAX - 1, in) : 0;
    fclose(in);
    if (text == NULL) {
        return no_memory(error);
    }
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        text[--len] = '\0';
    }
    *out = text;
    return EZ_OK;
}
