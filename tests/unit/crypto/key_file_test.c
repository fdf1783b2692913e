// SPDX-License-Identifier: Apache-2.0
//
// The key file: made once with the right mode, read back the same, refused where it is wrong, never replaced.
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/crypto/seal.h"

static char folder[] = "/tmp/ez_key_test_XXXXXX";
static char path[64];

static void setup(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key", folder);
}

static void teardown(void) {
    unlink(path);
    rmdir(folder);
}

TestSuite(key_file, .init = setup, .fini = teardown);

static void given_file(const char *text, size_t len, mode_t mode) {
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static ez_status open_file(bool may_make, ez_error *error) {
    ez_sealer *sealer = NULL;
    ez_status status = ez_sealer_open(path, may_make, &sealer, error);
    ez_sealer_destroy(sealer);
    return status;
}

Test(key_file, is_made_once_for_its_owner_only) {
    ez_sealer *first, *second;
    cr_assert_eq(ez_sealer_open(path, true, &first, NULL), EZ_OK);
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0600);
    cr_assert_eq(info.st_size, 65);
    cr_assert_eq(ez_sealer_open(path, true, &second, NULL), EZ_OK);
    cr_assert_eq(ez_sealer_key_id(first), ez_sealer_key_id(second));
    ez_sealer_destroy(first);
    ez_sealer_destroy(second);
    // Nothing else is left in the folder.
    DIR *dir = opendir(folder);
    int entries = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        entries += entry->d_name[0] != '.';
    closedir(dir);
    cr_assert_eq(entries, 1);
}

Test(key_file, missing_is_said_so) {
    ez_error error = EZ_ERROR_INIT;
    cr_assert_eq(open_file(false, &error), EZ_FAILED_PRECONDITION);
    cr_assert_not_null(strstr(error.message, "is missing"));
    cr_assert_neq(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/none/key", folder);
    cr_assert_eq(open_file(true, &error), EZ_FAILED_PRECONDITION);
}

Test(key_file, readable_by_others_is_refused) {
    char text[65];
    memset(text, 'a', 64);
    text[64] = '\n';
    static const mode_t modes[] = {0640, 0604, 0660, 0601, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        given_file(text, 65, modes[i]);
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(open_file(true, &error), EZ_FAILED_PRECONDITION);
        cr_assert_not_null(strstr(error.message, "chmod 600"));
    }
    given_file(text, 65, 0600);
    cr_assert_eq(open_file(true, NULL), EZ_OK);
    given_file(text, 64, 0400);
    cr_assert_eq(open_file(true, NULL), EZ_OK);
}

Test(key_file, what_is_no_key_is_refused_and_kept) {
    char text[70];
    memset(text, 'a', sizeof text);
    static const size_t sizes[] = {0, 1, 63, 65, 70};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        given_file(text, sizes[i], 0600);
        ez_error error = EZ_ERROR_INIT;
        cr_assert_eq(open_file(true, &error), EZ_FAILED_PRECONDITION, "%zu bytes", sizes[i]);
        cr_assert_null(strstr(error.message, "aaaa"));
        struct stat info;
        cr_assert_eq(stat(path, &info), 0);
        cr_assert_eq(info.st_size, (off_t)sizes[i]);
    }
    text[10] = 'g';
    given_file(text, 64, 0600);
    cr_assert_eq(open_file(true, NULL), EZ_FAILED_PRECONDITION);
    unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(open_file(true, NULL), EZ_FAILED_PRECONDITION);
    rmdir(path);
}
