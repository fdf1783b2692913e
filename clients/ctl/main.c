// SPDX-License-Identifier: Apache-2.0
//
// ezctl: the command line over the binary protocol. Takes the command line apart, reads the settings, runs one command
// and ends with its status. The awkward case is --help, which may stand anywhere and is answered for as much of the
// command as was given.
#include <stdio.h>

#include "clients/ctl/call.h"
#include "clients/ctl/help.h"
#include "clients/ctl/settings.h"
#include "clients/ctl/text.h"
#include "proto/runtime/log.h"

static int run_command(const ez_ctl_arguments *arguments, ez_arena *arena) {
    ez_error error = EZ_ERROR_INIT;
    ez_settings *settings;
    int rest;
    bool is_done;
    ez_status status =
        ez_settings_open("ezctl", EZ_CTL_HELP_USAGE, ez_ctl_settings, ez_ctl_setting_count, arguments->setting_count,
                         arguments->settings, &settings, &rest, &is_done, &error);
    if (status != EZ_OK)
        return ez_ctl_report_usage(&error);
    ez_log_init("ezctl", ez_settings_text(settings, "EZ_LOG_LEVEL"));
    int result = arguments->builtin ? arguments->builtin->run(arguments, settings)
                                    : ez_ctl_call_command(arguments, settings, arena);
    ez_settings_close(settings);
    return result;
}

int main(int argc, char **argv) {
    ez_error error = EZ_ERROR_INIT;
    ez_ctl_arguments arguments;
    ez_arena arena;
    int result;
    ez_ctl_text_init();
    ez_arena_init(&arena, EZ_CTL_MEMORY_MAX);
    if (ez_ctl_arguments_parse(argc, argv, &arena, &arguments, &error) != EZ_OK)
        result = ez_ctl_report_usage(&error);
    else if (arguments.has[EZ_CTL_HELP])
        result = ez_ctl_help(&arguments);
    else if (arguments.has[EZ_CTL_VERSION])
        result = ez_ctl_builtin_find("version")->run(&arguments, NULL);
    else
        result = run_command(&arguments, &arena);
    ez_arena_fini(&arena);
    return result;
}
