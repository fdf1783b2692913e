// SPDX-License-Identifier: Apache-2.0
//
// An export file, opened, planned and drained. What is taken must make batches that a call can carry and a server
// decodes and checks without a fault; what is refused must say why. The first byte picks the options: with bindings, a
// dry run, overwriting.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/runtime/call.h"
#include "proto/runtime/cleanup.h"
#include "proto/runtime/message.h"
#include "server/domain/import/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds) {
    if (!holds)
        abort();
}

static void on_failed(void *user, ez_plan_kind kind, int64_t index, const char *reason) {
    (void)user;
    expect(kind < EZ_PLAN_KINDS && index >= 0 && reason[0]);
}

static void on_warned(void *user, const char *text) {
    (void)user;
    expect(text[0]);
}

static void carry(const Ez__V1__ApplyImportRequest *request) {
    const ez_message_rule *rule = ez_message_rule_find(&ez__v1__apply_import_request__descriptor);
    ez_auto(ez_buf) packed;
    ez_auto(ez_arena) arena;
    ez_buf_init(&packed, EZ_CALL_MAX);
    ez_arena_init(&arena, 256u << 20);
    ProtobufCMessage *decoded;
    ez_error error = EZ_ERROR_INIT;
    expect(ez_buf_pack(&packed, &request->base) == EZ_OK);
    expect(ez_message_decode(rule, packed.data, packed.len, &arena, &decoded, &error) == EZ_OK);
    expect(ez_message_check(rule, decoded, false, &arena, &error) == EZ_OK);
}

static void drain(ez_plan *plan) {
    for (ez_status status = EZ_OK; status == EZ_OK;) {
        ez_auto(ez_arena) arena;
        ez_arena_init(&arena, 256u << 20);
        Ez__V1__ApplyImportRequest *request;
        ez_plan_kind kind;
        ez_error error = EZ_ERROR_INIT;
        status = ez_plan_next(plan, &arena, &kind, &request, &error);
        expect(status == EZ_OK);
        if (!request)
            return;
        carry(request);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    ez_plan_options options = {.include_bindings = data[0] & 1,
                               .self_contained = data[0] & 2,
                               .overwrite = data[0] & 4,
                               .failed = on_failed,
                               .warned = on_warned};
    char path[64];
    int fd = memfd_create("export", MFD_CLOEXEC);
    expect(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ez_export *file = NULL;
    ez_plan *plan = NULL;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_export_open(path, &file, &error);
    if (status == EZ_OK)
        status = ez_plan_make(file, &options, &plan, &error);
    if (status == EZ_OK)
        drain(plan);
    else
        expect(status == EZ_INVALID_ARGUMENT && error.reason[0] && error.message[0]);
    ez_plan_free(plan);
    ez_export_close(file);
    close(fd);
    return 0;
}
