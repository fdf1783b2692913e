// SPDX-License-Identifier: Apache-2.0
//
// The database's file and its lock. PATH.lock is held by flock for as long as the store is open, so that it is free
// again however the process ends; the process id in it is only there to be told. The file is never removed: a
// process that waits at the old one and one that makes a new one would both believe they have it.
//
// Awkward: SQLite gives its log and shared memory the mode of the database, so that is made here, 0600, before SQLite
// sees the path; and a new name in a folder is only durable once the folder was synced.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/runtime/cleanup.h"
#include "server/state/store/sqlite/db.h"

static ez_status fail(const char *what, const char *path, ez_error *error) {
    int number = errno;
    bool full = number == ENOSPC || number == EDQUOT;
    return ez_error_set(error, full ? EZ_RESOURCE_EXHAUSTED : EZ_FAILED_PRECONDITION, full ? "DISK_FULL" : "STORE_PATH",
                        "%s %s: %s; check EZ_STORE and who owns the folder", what, path, strerror(number));
}

static ez_status no_memory(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory to open the store");
}

static ez_status make_folders(char *path, ez_error *error) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int result = mkdir(path, 0700);
        if (result < 0 && errno != EEXIST)
            return fail("can't make the folder", path, error);
        *slash = '/';
    }
    return EZ_OK;
}

// path is cut to its folder.
static ez_status sync_folder(char *path, ez_error *error) {
    char *slash = strrchr(path, '/');
    const char *folder = ".";
    if (slash) {
        slash[slash == path ? 1 : 0] = 0;
        folder = path;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail("can't open the folder", folder, error);
    ez_status status = fsync(fd) < 0 && errno != EINVAL ? fail("can't sync the folder", folder, error) : EZ_OK;
    close(fd);
    return status;
}

static ez_status taken(const char *path, int fd, ez_error *error) {
    char text[24] = "";
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    text[len > 0 ? len : 0] = 0;
    long pid = strtol(text, NULL, 10);
    return ez_error_set(error, EZ_FAILED_PRECONDITION, "STORE_IN_USE",
                        "another ezplaned has %s open (pid %ld): stop it, or give this one its own EZ_STORE", path,
                        pid);
}

static ez_status lock(const char *path, int *out, ez_error *error) {
    ez_autofree char *name = NULL;
    if (asprintf(&name, "%s.lock", path) < 0) {
        name = NULL;
        return no_memory(error);
    }
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail("can't open the lock", name, error);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        ez_status status = errno == EWOULDBLOCK ? taken(path, fd, error) : fail("can't lock", name, error);
        close(fd);
        return status;
    }
    // The number is a courtesy: on a full disk the lock holds without it.
    if (ftruncate(fd, 0) == 0 && dprintf(fd, "%ld\n", (long)getpid()) < 0)
        errno = 0;
    *out = fd;
    return EZ_OK;
}

static ez_status make_file(const char *path, bool *made, ez_error *error) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    *made = fd >= 0;
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST)
        return fail("can't make", path, error);
    return EZ_OK;
}

ez_status ez_sqlite_file_open(const char *path, int *lock_fd, ez_error *error) {
    ez_autofree char *copy = strdup(path);
    if (!copy)
        return no_memory(error);
    int fd = -1;
    bool made = false;
    ez_status status = make_folders(copy, error);
    if (!status)
        status = lock(path, &fd, error);
    if (!status)
        status = make_file(path, &made, error);
    if (!status && made)
        status = sync_folder(copy, error);
    if (status) {
        ez_sqlite_file_close(fd);
        return status;
    }
    *lock_fd = fd;
    return EZ_OK;
}

void ez_sqlite_file_close(int lock_fd) {
    if (lock_fd >= 0)
        close(lock_fd);
}
