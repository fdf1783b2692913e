// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-ez/write.h"
void gen_write_rest(const gen_schema *schema, gen_text *out) {
    gen_text_printf(out, "# REST\n\n%u methods.\n", schema->rpc_count);
}
