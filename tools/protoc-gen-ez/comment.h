// SPDX-License-Identifier: Apache-2.0
//
// Comments and line numbers, from a file's source_code_info.
#pragma once

#include "tools/protoc-gen-ez/model.h"

#define GEN_PATH_MAX 16

// A path into a FileDescriptorProto as source_code_info gives it: field number, index, field number, index …
typedef struct gen_path {
    int32_t steps[GEN_PATH_MAX];
    unsigned len;
} gen_path;

// path with two more steps. Nesting deeper than GEN_PATH_MAX loses its comments, nothing else.
gen_path gen_path_add(gen_path path, int32_t field, unsigned index);

// Fills the comment of what stands there, as one paragraph ("" where there is none), and its place.
void gen_comment_get(gen_pool *pool, const Google__Protobuf__FileDescriptorProto *file, gen_path path, const char **doc,
                     gen_place *place);
