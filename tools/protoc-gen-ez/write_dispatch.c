// SPDX-License-Identifier: Apache-2.0
//
// ez/handlers.h and ez/dispatch.c: the prototypes that the server's folders implement, and the table that calls them.
// Between the two stands a thunk per method, so that every function is called through its own type; it names the
// handler, so a method that nobody wrote does not link.
#include <string.h>

#include "tools/protoc-gen-ez/names.h"
#include "tools/protoc-gen-ez/write.h"

// What a handler gets between the call and the request, by effect.
static const char *scene_type(const gen_rpc *rpc) {
    switch (rpc->rule->effect) {
    case EZ__OPTIONS__EFFECT__CHANGE:
        return "struct ez_txn";
    case EZ__OPTIONS__EFFECT__QUERY:
        return "struct ez_reader";
    case EZ__OPTIONS__EFFECT__APPEND:
        return "struct ez_append";
    case EZ__OPTIONS__EFFECT__HELD:
        return "struct ez_hold";
    default:
        return NULL;
    }
}

// "ez_access": "EZ_SLOT_ACCESS".
static const char *slot_of(const gen_schema *schema, const char *self) {
    return gen_pool_printf(schema->pool, "EZ_SLOT_%s", gen_name_upper(schema->pool, self + 3));
}

static const char *scene_name(const gen_rpc *rpc) {
    switch (rpc->rule->effect) {
    case EZ__OPTIONS__EFFECT__CHANGE:
        return "txn";
    case EZ__OPTIONS__EFFECT__QUERY:
        return "reader";
    case EZ__OPTIONS__EFFECT__HELD:
        return "hold";
    default:
        return "append";
    }
}

static bool is_first_of_self(const gen_schema *schema, unsigned index) {
    for (unsigned i = 0; i < index; i++)
        if (!strcmp(schema->services[i]->self, schema->services[index]->self))
            return false;
    return true;
}

static void put_prototypes(const gen_service *service, gen_text *out) {
    gen_text_printf(out, "\n// %s\n", service->name);
    for (unsigned i = 0; i < service->rpc_count; i++) {
        const gen_rpc *rpc = service->rpcs[i];
        const char *scene = scene_type(rpc);
        gen_text_puts(out, "\n");
        gen_text_c_comment(out, "", rpc->doc);
        gen_text_printf(out, "ez_status ez_handle_%s(struct %s *self, ez_call *call,", rpc->handle, service->self);
        if (scene)
            gen_text_printf(out, " %s *%s,", scene, scene_name(rpc));
        gen_text_printf(out, "\n    %s *request) EZ_MUST_CHECK;\n", rpc->request->c_type);
    }
}

void gen_write_handlers_h(const gen_schema *schema, gen_text *out) {
    gen_text_puts(out, "// SPDX-License-Identifier: Apache-2.0\n//\n// Made by protoc-gen-ez from proto/ez/v1: one "
                       "handler per method. Not to be "
                       "edited.\n//\n// A handler runs on the thread its effect names "
                       "(proto/ez/options/options.proto): READ and SESSION on the one\n// that received the "
                       "call and never block, QUERY on a reader thread of the store, CHANGE on its writer, within "
                       "the\n// transaction, APPEND on an appender's. HELD is as SESSION, but EZ_OK means that it kept "
                       "the hold and answers "
                       "later. It fills "
                       "the call's reply and returns EZ_OK, or fills its error and returns its code. The request\n// "
                       "was checked and may be "
                       "changed; it lives as long as the call.\n#pragma once\n\n#include \"proto/runtime/call.h\"\n\n");
    for (unsigned i = 0; i < schema->header_count; i++)
        gen_text_printf(out, "#include \"%s\"\n", schema->headers[i]);
    gen_text_puts(out, "\nstruct ez_txn;\nstruct ez_reader;\nstruct ez_append;\nstruct ez_hold;\n");
    for (unsigned i = 0; i < schema->service_count; i++)
        if (is_first_of_self(schema, i))
            gen_text_printf(out, "struct %s;\n", schema->services[i]->self);
    gen_text_puts(
        out, "\n// Whose object a handler gets as self: main.c fills one place per slot.\ntypedef enum ez_slot {\n");
    for (unsigned i = 0; i < schema->service_count; i++)
        if (is_first_of_self(schema, i))
            gen_text_printf(out, "    %s, // struct %s\n", slot_of(schema, schema->services[i]->self),
                            schema->services[i]->self);
    gen_text_puts(out,
                  "    EZ_SLOT_COUNT,\n} ez_slot;\n\n// Both indexed by ez_method.index.\n"
                  "extern ez_handler *const ez_handlers[];\nextern const uint8_t ez_handler_slots[]; // ez_slot\n");
    for (unsigned i = 0; i < schema->service_count; i++)
        put_prototypes(schema->services[i], out);
}

static void put_thunk(const gen_rpc *rpc, gen_text *out) {
    bool scene = scene_type(rpc) != NULL;
    gen_text_printf(out, "static ez_status %s(void *self, ez_call *call, void *scene, ProtobufCMessage *request) {\n",
                    rpc->handle);
    if (!scene)
        gen_text_puts(out, "    (void)scene;\n");
    gen_text_printf(out, "    return ez_handle_%s(self, call, %s(%s *)(void *)request);\n}\n\n", rpc->handle,
                    scene ? "scene, " : "", rpc->request->c_type);
}

void gen_write_dispatch_c(const gen_schema *schema, gen_text *out) {
    gen_text_puts(out, "// SPDX-License-Identifier: Apache-2.0\n//\n// Made by protoc-gen-ez from proto/ez/v1: the "
                       "handlers as a table, "
                       "in the order of ez_methods. Not to be edited.\n#include \"ez/handlers.h\"\n\n");
    for (unsigned i = 0; i < schema->rpc_count; i++)
        put_thunk(schema->rpcs[i], out);
    gen_text_puts(out, "ez_handler *const ez_handlers[] = {\n");
    for (unsigned i = 0; i < schema->rpc_count; i++)
        gen_text_printf(out, "    %s,\n", schema->rpcs[i]->handle);
    gen_text_printf(out, "%s};\n\nconst uint8_t ez_handler_slots[] = {\n", schema->rpc_count ? "" : "    NULL,\n");
    for (unsigned i = 0; i < schema->rpc_count; i++)
        gen_text_printf(out, "    %s, // %s\n", slot_of(schema, schema->rpcs[i]->service->self), schema->rpcs[i]->full);
    gen_text_printf(out, "%s};\n", schema->rpc_count ? "" : "    0,\n");
}
