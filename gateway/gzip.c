// SPDX-License-Identifier: Apache-2.0
//
// gzip by zlib. The state is made once per loop: making it for each reply would cost more than small replies do. The
// output is reserved whole (deflateBound), so one deflate call does it.
#include "gateway/gzip.h"

#include <stdlib.h>
#include <zlib.h>

struct ez_gzip {
    z_stream stream;
};

ez_status ez_gzip_create(int level, ez_gzip **out, ez_error *error) {
    ez_gzip *made = calloc(1, sizeof *made);
    // 15 bits of window, and 16 for gzip's header instead of zlib's.
    if (!made || deflateInit2(&made->stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(made);
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for compression");
    }
    *out = made;
    return EZ_OK;
}

void ez_gzip_destroy(ez_gzip *gzip) {
    if (!gzip)
        return;
    (void)deflateEnd(&gzip->stream);
    free(gzip);
}

ez_status ez_gzip_write(ez_gzip *gzip, ez_text text, ez_buf *out) {
    if (text.len > UINT32_MAX / 2 || deflateReset(&gzip->stream) != Z_OK)
        return EZ_RESOURCE_EXHAUSTED;
    size_t room = deflateBound(&gzip->stream, text.len);
    if (ez_buf_reserve(out, room) != EZ_OK)
        return EZ_RESOURCE_EXHAUSTED;
    gzip->stream.next_in = (Bytef *)text.data;
    gzip->stream.avail_in = (uInt)text.len;
    gzip->stream.next_out = out->data + out->len;
    gzip->stream.avail_out = (uInt)room;
    if (deflate(&gzip->stream, Z_FINISH) != Z_STREAM_END)
        return EZ_INTERNAL;
    out->len += room - gzip->stream.avail_out;
    return EZ_OK;
}
