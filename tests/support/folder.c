// SPDX-License-Identifier: Apache-2.0
//
// Temporary folders. EZ_TEST_KEEP=1 leaves them in place, for looking at what a failed test's server left behind.
#include "tests/support/folder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (16u << 20)

void given_folder(char *path) {
    const char *base = getenv("TMPDIR");
    int len = snprintf(path, EZ_TEST_PATH_MAX, "%s/ez-test.XXXXXX", base && *base ? base : "/tmp");
    cr_assert(len > 0 && len < EZ_TEST_PATH_MAX, "TMPDIR is too long");
    cr_assert_not_null(mkdtemp(path), "no temporary folder %s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info, (void)type, (void)place;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

void remove_folder(const char *path) {
    const char *keep = getenv("EZ_TEST_KEEP");
    if (!*path)
        return;
    if (keep && *keep == '1') {
        fprintf(stderr, "kept: %s\n", path);
        return;
    }
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *read_file(const char *path) {
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    size_t len = 0, cap = 4096;
    char *text = malloc(cap + 1);
    while (text) {
        len += fread(text + len, 1, cap - len, file);
        if (len < cap || cap >= FILE_MAX)
            break;
        cap *= 2;
        char *more = realloc(text, cap + 1);
        if (!more)
            free(text);
        text = more;
    }
    fclose(file);
    if (text)
        text[len] = '\0';
    return text;
}

void write_file(const char *path, const void *data, size_t len) {
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file, "can't write %s: %s", path, strerror(errno));
    size_t written = fwrite(data, 1, len, file);
    cr_assert(fclose(file) == 0 && written == len, "can't write %s: %s", path, strerror(errno));
}
