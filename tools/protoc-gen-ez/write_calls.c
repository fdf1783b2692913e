// SPDX-License-Identifier: Apache-2.0
//
// ez/calls.h and ez/calls.c: a typed function per method over ez_client_call, so that callers cannot pair a method with
// another one's messages.
#include "tools/protoc-gen-ez/write.h"

static const char *const begin = "// SPDX-License-Identifier: Apache-2.0\n//\n";

static void put_signature(const gen_rpc *rpc, gen_text *out) {
    gen_text_printf(out, "ez_status ez_call_%s(struct ez_client *client, const %s *request,\n", rpc->handle,
                    rpc->request->c_type);
    gen_text_printf(out, "    const struct ez_call_options *options, %s **reply, struct ez_error *error)",
                    rpc->reply->c_type);
}

void gen_write_calls_h(const gen_schema *schema, gen_text *out) {
    gen_text_puts(out, begin);
    gen_text_puts(
        out, "// Made by protoc-gen-ez from proto/ez/v1: every method as a typed call. Not to be edited.\n//\n"
             "// Each blocks until the reply is here or its deadline has passed (clients/c/client.h, ez_client_call, "
             "which has the\n"
             "// whole contract). On EZ_OK *reply is the caller's, to be freed by "
             "protobuf_c_message_free_unpacked(&reply->base, NULL);\n"
             "// otherwise it is untouched and error (may be NULL) says why. options may be NULL.\n#pragma once\n\n"
             "#include \"proto/runtime/status.h\"\n\n");
    for (unsigned i = 0; i < schema->header_count; i++)
        gen_text_printf(out, "#include \"%s\"\n", schema->headers[i]);
    gen_text_puts(out, "\nstruct ez_client;\nstruct ez_call_options;\nstruct ez_error;\n");
    for (unsigned i = 0; i < schema->rpc_count; i++) {
        gen_text_puts(out, "\n");
        gen_text_c_comment(out, "", schema->rpcs[i]->doc);
        put_signature(schema->rpcs[i], out);
        gen_text_puts(out, " EZ_MUST_CHECK;\n");
    }
}

void gen_write_calls_c(const gen_schema *schema, gen_text *out) {
    gen_text_puts(out, begin);
    gen_text_puts(out, "// Made by protoc-gen-ez from proto/ez/v1. Not to be edited.\n#include \"ez/calls.h\"\n\n"
                       "#include \"clients/c/client.h\"\n#include \"proto/runtime/schema.h\"\n");
    for (unsigned i = 0; i < schema->rpc_count; i++) {
        gen_text_puts(out, "\n");
        put_signature(schema->rpcs[i], out);
        gen_text_printf(out,
                        " {\n    return ez_client_call(client, &ez_methods[%u], &request->base, options, "
                        "(ProtobufCMessage **)(void *)reply, error);\n}\n",
                        i);
    }
}
