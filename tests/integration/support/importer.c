// SPDX-License-Identifier: Apache-2.0
//
// The command runs beside the server in a process of its own; what it says is parsed with jansson. It is stopped by
// patience like every other process.
#include "tests/integration/support/importer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void given_importer(ez_importer *importer) {
    *importer = (ez_importer){.status = -1};
    given_folder(importer->folder);
    snprintf(importer->file, sizeof importer->file, "%s/export.json", importer->folder);
}

static void forget(ez_importer *importer) {
    json_decref(importer->report);
    free(importer->words);
    importer->report = NULL;
    importer->words = NULL;
}

void end_importer(ez_importer *importer) {
    forget(importer);
    remove_folder(importer->folder);
}

void given_file(ez_importer *importer, const void *data, size_t len) {
    write_file(importer->file, data, len);
}

void given_export(ez_importer *importer, const char *format, ...) {
    char *data = NULL, *whole = NULL;
    va_list args;
    va_start(args, format);
    cr_assert_geq(vasprintf(&data, format, args), 0);
    va_end(args);
    int len = asprintf(&whole,
                       "{'version':'1.0.0','source':{'type':'newapi','version':'unknown',"
                       "'exported_at':'2026-01-02T03:04:05Z'},'data':{%s},'warnings':[]}",
                       data);
    cr_assert_geq(len, 0);
    for (char *at = whole; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    given_file(importer, whole, (size_t)len);
    free(data);
    free(whole);
}

void run_import(ez_importer *importer, ez_test_server *server, const char *const *flags, const char *file) {
    char texts[8][EZ_TEST_URL_MAX + 64], log[EZ_TEST_PATH_MAX + 16];
    const char *env[EZ_TEST_SERVER_ENV], *args[12] = {"import", "--output", "json"};
    size_t count = 3;
    for (size_t i = 0; flags && flags[i]; i++) {
        cr_assert_lt(count, 10);
        args[count++] = flags[i];
    }
    args[count] = file ? file : importer->file;
    server_env(server, texts, env);
    forget(importer);
    snprintf(log, sizeof log, "%s/words", importer->folder);
    unlink(log);
    char *out = NULL;
    importer->status = run_process("ezplaned", args, env, log, &out);
    importer->words = read_file(log);
    importer->report = json_loads(out, 0, NULL);
    free(out);
    cr_assert_not_null(importer->words);
    cr_assert_null(strstr(importer->words, server->admin_token));
}

int imported(const ez_importer *importer, const char *kind, const char *outcome) {
    json_t *counts = json_object_get(json_object_get(importer->report, "counts"), kind);
    cr_assert_not_null(counts, "the report has no counts of %s; exit status %d: %s", kind, importer->status,
                       importer->words);
    return (int)json_integer_value(json_object_get(counts, outcome));
}

bool import_warned(const ez_importer *importer, const char *text) {
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(importer->report, "warnings"), i, warning) {
        if (strstr(json_string_value(warning), text))
            return true;
    }
    return false;
}

bool import_failed(const ez_importer *importer, const char *kind, int index, const char *text) {
    size_t i;
    json_t *failure;
    json_array_foreach(json_object_get(importer->report, "failures"), i, failure) {
        if (strcmp(json_string_value(json_object_get(failure, "kind")), kind) == 0 &&
            json_integer_value(json_object_get(failure, "index")) == index &&
            strstr(json_string_value(json_object_get(failure, "reason")), text))
            return true;
    }
    return false;
}

const char *import_credential(const ez_importer *importer, const char *master) {
    size_t i;
    json_t *made;
    json_array_foreach(json_object_get(importer->report, "credentials"), i, made) {
        if (strcmp(json_string_value(json_object_get(made, "master")), master) == 0)
            return json_string_value(json_object_get(made, "master_key"));
    }
    return NULL;
}
