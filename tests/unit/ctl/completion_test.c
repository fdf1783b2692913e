// SPDX-License-Identifier: Apache-2.0
//
// The scripts: that they name every command and that bash takes and runs its own.
#include "clients/ctl/completion.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/ctl/word.h"

static const char *const shells[] = {"bash", "zsh", "fish"};

Test(completion, every_script_has_every_verb) {
    for (size_t s = 0; s < sizeof shells / sizeof shells[0]; s++) {
        ez_buf out;
        ez_buf_init(&out, EZ_CTL_COMPLETION_MAX);
        cr_assert(ez_ctl_completion_write(shells[s], &out));
        cr_assert_not(out.overflow);
        for (unsigned i = 0; i < ez_method_count; i++) {
            char noun[EZ_CTL_WORD_MAX], verb[EZ_CTL_WORD_MAX], both[2 * EZ_CTL_WORD_MAX + 2];
            ez_ctl_kebab(ez_methods[i].service, noun);
            ez_ctl_kebab(ez_methods[i].rpc, verb);
            snprintf(both, sizeof both, "%s %s'", noun, verb);
            cr_expect(strstr(ez_buf_cstr(&out), both), "%s: %s %s", shells[s], noun, verb);
        }
        ez_buf_fini(&out);
    }
}

Test(completion, other_shells_are_refused) {
    ez_buf out;
    ez_buf_init(&out, EZ_CTL_COMPLETION_MAX);
    cr_assert_not(ez_ctl_completion_write("csh", &out));
    cr_assert_eq(out.len, 0);
    ez_buf_fini(&out);
}

// What bash offers for a command line whose last word is being typed.
static void expect_offer(const char *line, const char *wanted, const char *unwanted) {
    char path[] = "/tmp/ez-ctl-test.XXXXXX", text[8192] = "";
    ez_buf out;
    ez_buf_init(&out, EZ_CTL_COMPLETION_MAX);
    cr_assert(ez_ctl_completion_write("bash", &out));
    (void)ez_buf_printf(
        &out, "COMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_ezctl\necho \" ${COMPREPLY[*]} \"\n", line);
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, out.data, out.len), (ssize_t)out.len);
    close(fd);
    char command[128];
    snprintf(command, sizeof command, "bash -eu %s 2>&1", path);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t len = fread(text, 1, sizeof text - 1, pipe);
    text[len] = '\0';
    int status = pclose(pipe);
    unlink(path);
    ez_buf_fini(&out);
    cr_assert_eq(status, 0, "%s", text);
    cr_assert(strstr(text, wanted), "%s: no \"%s\" in %s", line, wanted, text);
    if (unwanted)
        cr_assert_null(strstr(text, unwanted), "%s: \"%s\" in %s", line, unwanted, text);
}

Test(completion, bash_offers_what_fits) {
    expect_offer("ezctl ''", " keys ", " --quota-limit ");
    expect_offer("ezctl ke", " keys ", " masters ");
    expect_offer("ezctl keys ''", " list ", " masters ");
    expect_offer("ezctl -o json keys ''", " list ", " masters ");
    expect_offer("ezctl keys update 1 --q", " --quota-limit ", " --name ");
    expect_offer("ezctl keys update 1 --status ''", " disabled ", " --name ");
    expect_offer("ezctl keys list -o ''", " json ", " --status ");
    expect_offer("ezctl call ''", " ez.v1.Keys/Get ", " keys ");
    expect_offer("ezctl help ''", " keys ", " --name ");
    expect_offer("ezctl completion ''", " bash zsh fish ", NULL);
    expect_offer("ezctl masters delete --c", " --cascade ", NULL);
}
