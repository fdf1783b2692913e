// SPDX-License-Identifier: Apache-2.0
//
// protoc-gen-ez: a protoc plugin. Reads a CodeGeneratorRequest on standard input, writes a CodeGeneratorResponse on
// standard output: ezplane's tables, handler prototypes, call stubs and documents, or an error that lists all that is
// wrong with the schema. protoc writes the files, and none of them after an error.
//
// Proto3 "optional" is not declared as supported: protobuf-c refuses it too, and protoc then says so itself.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/protoc-gen-ez/check.h"
#include "tools/protoc-gen-ez/load.h"
#include "tools/protoc-gen-ez/route.h"
#include "tools/protoc-gen-ez/write.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest request_proto;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse response_proto;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File response_file;

enum { SCHEMA_C, HANDLERS_H, DISPATCH_C, CALLS_H, CALLS_C, OPENAPI_JSON, REST_MD, FILE_COUNT };

static const char *const file_names[FILE_COUNT] = {
    [SCHEMA_C] = "ez/schema.c",         [HANDLERS_H] = "ez/handlers.h", [DISPATCH_C] = "ez/dispatch.c",
    [CALLS_H] = "ez/calls.h",           [CALLS_C] = "ez/calls.c",       [REST_MD] = "ez/rest.md",
    [OPENAPI_JSON] = "ez/openapi.json",
};

static void read_all(gen_text *in) {
    char chunk[65536];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        gen_text_append(in, chunk, got);
}

static int send(const response_proto *response) {
    size_t len = protobuf_c_message_get_packed_size(&response->base);
    uint8_t *packed = malloc(len + 1);
    if (!packed) {
        fputs("protoc-gen-ez: out of memory\n", stderr);
        return 1;
    }
    protobuf_c_message_pack(&response->base, packed);
    bool sent = fwrite(packed, 1, len, stdout) == len && !fflush(stdout);
    free(packed);
    if (!sent)
        fprintf(stderr, "protoc-gen-ez: writing the response: %s\n", strerror(errno));
    return !sent;
}

static int send_files(gen_schema *schema, gen_text *texts) {
    response_file files[FILE_COUNT], *list[FILE_COUNT];
    response_proto response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    gen_route_sort(schema);
    gen_write_openapi(schema, &texts[OPENAPI_JSON]);
    gen_write_schema_c(schema, &texts[OPENAPI_JSON], &texts[SCHEMA_C]);
    gen_write_handlers_h(schema, &texts[HANDLERS_H]);
    gen_write_dispatch_c(schema, &texts[DISPATCH_C]);
    gen_write_calls_h(schema, &texts[CALLS_H]);
    gen_write_calls_c(schema, &texts[CALLS_C]);
    gen_write_rest(schema, &texts[REST_MD]);
    for (int i = 0; i < FILE_COUNT; i++) {
        files[i] = (response_file)GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FILE__INIT;
        files[i].name = (char *)file_names[i];
        files[i].content = texts[i].data;
        list[i] = &files[i];
    }
    response.n_file = FILE_COUNT;
    response.file = list;
    return send(&response);
}

static int generate(const request_proto *request) {
    gen_pool pool;
    gen_schema schema = {.pool = &pool};
    gen_text texts[FILE_COUNT] = {{0}};
    gen_pool_init(&pool);
    gen_load(&schema, request);
    gen_check(&schema);
    int result;
    if (schema.refusal_count) {
        response_proto response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
        response.error = schema.refusals.data;
        result = send(&response);
    } else {
        result = send_files(&schema, texts);
    }
    for (int i = 0; i < FILE_COUNT; i++)
        gen_text_fini(&texts[i]);
    gen_text_fini(&schema.refusals);
    gen_pool_fini(&pool);
    return result;
}

int main(void) {
    gen_text in = {0};
    read_all(&in);
    request_proto *request =
        google__protobuf__compiler__code_generator_request__unpack(NULL, in.len, (uint8_t *)in.data);
    gen_text_fini(&in);
    if (!request) {
        fputs(
            "protoc-gen-ez: standard input is no CodeGeneratorRequest; protoc runs this program, see docs/schema.md\n",
            stderr);
        return 1;
    }
    int result = generate(request);
    google__protobuf__compiler__code_generator_request__free_unpacked(request, NULL);
    return result;
}
