// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-ez/write.h"
void gen_write_openapi(gen_schema *schema, gen_text *out) {
    (void)schema;
    gen_text_puts(out,
                  "{\"openapi\": \"3.1.0\", \"info\": {\"title\": \"ezplane\", \"version\": \"1\"}, \"paths\": {}}\n");
}
