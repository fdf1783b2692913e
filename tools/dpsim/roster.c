// SPDX-License-Identifier: Apache-2.0
//
// One line per data plane: id, space, token.
#include "tools/dpsim/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/crypto/seal.h"

static ez_status failed(ez_error *error, const char *what, const char *path) {
    return ez_error_set(error, EZ_UNAVAILABLE, "ROSTER_IO", "%s can't be %s: %s.", path, what, strerror(errno));
}

ez_status ez_roster_load(const char *dir, ez_enrolled *planes, unsigned count, bool *found, ez_error *error) {
    char path[PATH_MAX], line[EZ_TOKEN_TEXT_MAX + 32];
    snprintf(path, sizeof path, "%s/planes", dir);
    *found = false;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return failed(error, "made", dir);
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT ? EZ_OK : failed(error, "read", path);
    }
    unsigned n = 0;
    bool is_good = true;
    while (is_good && fgets(line, sizeof line, file) != NULL) {
        long long id = 0;
        int at = 0;
        is_good = n < count && sscanf(line, "%lld %n", &id, &at) == 1 && id > 0;
        line[strcspn(line, "\n")] = '\0';
        if (is_good) {
            planes[n].id = id;
            snprintf(planes[n].token, sizeof planes[n].token, "%s", line + at);
            n++;
        }
    }
    fclose(file);
    ez_wipe(line, sizeof line);
    if (!is_good || n != count) {
        return ez_error_set(error, EZ_FAILED_PRECONDITION, "ROSTER_OTHER", "%s is of another number of planes than %u.",
                            path, count);
    }
    *found = true;
    return EZ_OK;
}

static bool write_all(int fd, const ez_enrolled *planes, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (dprintf(fd, "%" PRId64 " %s\n", planes[i].id, planes[i].token) < 0) {
            return false;
        }
    }
    return fsync(fd) == 0;
}

ez_status ez_roster_save(const char *dir, const ez_enrolled *planes, unsigned count, ez_error *error) {
    char path[PATH_MAX], temporary[PATH_MAX];
    snprintf(path, sizeof path, "%s/planes", dir);
    snprintf(temporary, sizeof temporary, "%s/planes.tmp", dir);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return failed(error, "made", temporary);
    }
    bool is_written = write_all(fd, planes, count);
    close(fd);
    return is_written && rename(temporary, path) == 0 ? EZ_OK : failed(error, "written", path);
}
