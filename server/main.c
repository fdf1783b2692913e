// SPDX-License-Identifier: Apache-2.0
//
// ezplaned: the core server, and what an admin does beside it.
//
//   ezplaned [flags]              serve
//   ezplaned import [flags] FILE  load another gateway's export
//   ezplaned settings             the table of settings, as Markdown
#include <stdio.h>
#include <string.h>

#include "proto/runtime/log.h"
#include "server/import_command.h"
#include "server/serve.h"
#include "server/settings.h"

static const char usage[] = "[FLAGS] | import [FLAGS] FILE | settings";

static int serve(int argc, char **argv) {
    ez_error error = EZ_ERROR_INIT;
    ez_settings *settings = NULL;
    int rest = 0;
    bool done = false;
    if (ez_settings_open("ezplaned", usage, ez_server_settings, ez_server_setting_count, argc, argv, &settings, &rest,
                         &done, &error) != EZ_OK) {
        fprintf(stderr, "ezplaned: %s\n", error.message);
        return 2;
    }
    if (done) {
        ez_settings_close(settings);
        return 0;
    }
    int status = 2;
    if (rest < argc) {
        fprintf(stderr, "ezplaned: \"%s\" is no command: see ezplaned --help\n", argv[rest]);
    } else {
        ez_log_init("ezplaned", ez_settings_text(settings, "EZ_LOG_LEVEL"));
        status = ez_serve(settings);
    }
    ez_settings_close(settings);
    return status;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "import") == 0) {
        return ez_import_command(argc - 1, argv + 1);
    }
    if (argc == 2 && strcmp(argv[1], "settings") == 0) {
        ez_settings_markdown(stdout, "ezplaned", ez_server_settings, ez_server_setting_count);
        return 0;
    }
    return serve(argc, argv);
}
