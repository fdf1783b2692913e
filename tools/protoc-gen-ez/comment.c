// SPDX-License-Identifier: Apache-2.0
//
// protoc attaches comments by path. The comment above wins over the one behind on the same line. Line breaks become
// blanks: our texts go into tables, JSON and tables of Markdown, which want one paragraph.
#include "tools/protoc-gen-ez/comment.h"

#include <ctype.h>
#include <string.h>

gen_path gen_path_add(gen_path path, int32_t field, unsigned index) {
    if (path.len + 2 > GEN_PATH_MAX)
        return path;
    path.steps[path.len++] = field;
    path.steps[path.len++] = (int32_t)index;
    return path;
}

static const char *paragraph(gen_pool *pool, const char *text) {
    char *out = gen_pool_alloc(pool, strlen(text) + 1, 1), *to = out;
    for (const char *at = text; *at; at++) {
        if (!isspace((unsigned char)*at))
            *to++ = *at;
        else if (to > out && to[-1] != ' ')
            *to++ = ' ';
    }
    while (to > out && to[-1] == ' ')
        *--to = '\0';
    return out;
}

void gen_comment_get(gen_pool *pool, const Google__Protobuf__FileDescriptorProto *file, gen_path path, const char **doc,
                     gen_place *place) {
    *doc = "";
    *place = (gen_place){.file = file->name};
    const Google__Protobuf__SourceCodeInfo *info = file->source_code_info;
    for (size_t i = 0; info && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *at = info->location[i];
        if (at->n_path != path.len || memcmp(at->path, path.steps, path.len * sizeof path.steps[0]))
            continue;
        if (at->n_span)
            place->line = at->span[0] + 1;
        const char *text = at->leading_comments && *at->leading_comments ? at->leading_comments : at->trailing_comments;
        if (text)
            *doc = paragraph(pool, text);
        return;
    }
}
