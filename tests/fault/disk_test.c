// SPDX-License-Identifier: Apache-2.0
//
// No room for the store (fault 40). Changes are refused with RESOURCE_EXHAUSTED or UNAVAILABLE, reads go on, and when
// there is room again changes work, without a restart and without what was refused. The limit is the kernel's on the
// size of the server's files, which needs no privilege; where a small file system may be mounted the same is done with
// one that is really full.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/integration/support/trail.h"

static ez_world w;
static int64_t master_id;

static void skip_on_postgres(void) {
    const char *store = getenv("EZ_TEST_STORE");
    if (store && strcmp(store, "postgres") == 0)
        cr_skip_test("PostgreSQL's files are not the server's");
}

static void expect_reads(void) {
    Ez__V1__Master *master = ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", master_id);
    cr_assert_str_eq(master->name, "written");
    ask(&w.admin, "Keys/List", "{'page_size':10}");
    ask(&w.admin, "Audit/List", "{'page_size':10}");
}

// Changes until one is refused; returns how many were acknowledged by now.
static unsigned fill(unsigned done) {
    char text[1001];
    memset(text, 'f', 1000);
    text[1000] = 0;
    for (; done < 100000; done++) {
        w.admin.next.max_retries = -1;
        w.admin.next.timeout_ms = 10000;
        ez_status status = try_call(&w.admin, NULL, "Namespaces/Create",
                                    "{'namespace':{'name':'f%u','description':'%s'}}", done, text);
        if (status == EZ_OK)
            continue;
        cr_assert(status == EZ_RESOURCE_EXHAUSTED || status == EZ_UNAVAILABLE, "got %s %s: %s", ez_status_name(status),
                  w.admin.error.reason, w.admin.error.message);
        return done;
    }
    cr_assert_fail("it is never full");
    return done;
}

static void expect_namespaces(unsigned count) {
    Ez__V1__Status *status = ask(&w.admin, "System/GetStatus", "{}");
    cr_assert_eq(status->namespaces, count + 1, "%" PRId64 " namespaces, %u were acknowledged", status->namespaces,
                 count);
}

static void expect_whole(unsigned count) {
    expect_soon(try_call(&w.admin, NULL, "Namespaces/Create", "{'namespace':{'name':'room'}}") == EZ_OK);
    expect_namespaces(count + 1);
    restart_server(&w.server);
    await_answers(&w);
    expect_namespaces(count + 1);
    ez_trail trail = given_trail(&w, 0, 0);
    expect_chain(&trail, NULL);
    end_trail(&trail);
    expect_contiguous_changes(&w, 0);
}

Test(disk, fault_40_files_may_not_grow) {
    skip_on_postgres();
    given_world(&w, NULL);
    master_id = given_master(&w.admin, "written")->id;
    struct rlimit limit = {1u << 20, RLIM_INFINITY};
    cr_assert_eq(prlimit(w.server.process.pid, RLIMIT_FSIZE, &limit, NULL), 0);
    unsigned done = fill(0);
    expect_reads();
    done = fill(done);
    expect_reads();
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(prlimit(w.server.process.pid, RLIMIT_FSIZE, &limit, NULL), 0);
    expect_whole(done);
    end_world(&w);
}

static char folder[EZ_TEST_PATH_MAX];

// Takes what room is left.
static void take_room(const char *path) {
    static char zeros[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    for (size_t size = sizeof zeros; size > 0; size /= 2)
        while (write(fd, zeros, size) == (ssize_t)size) {
        }
    close(fd);
}

Test(disk, fault_40_a_full_file_system) {
    skip_on_postgres();
    given_folder(folder);
    if (mount("none", folder, "tmpfs", 0, "size=24m,mode=0700") != 0) {
        remove_folder(folder);
        cr_skip_test("no file system may be mounted here");
    }
    char store[EZ_TEST_PATH_MAX + 32], ballast[EZ_TEST_PATH_MAX + 16];
    snprintf(store, sizeof store, "EZ_STORE=sqlite:%s/ezplane.db", folder);
    snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    const char *const env[] = {store, NULL};
    given_world(&w, env);
    master_id = given_master(&w.admin, "written")->id;
    take_room(ballast);
    unsigned done = fill(0);
    expect_reads();
    done = fill(done);
    cr_assert_eq(unlink(ballast), 0);
    expect_whole(done);
    end_world(&w);
    cr_assert_eq(umount2(folder, MNT_DETACH), 0);
    remove_folder(folder);
}
