// SPDX-License-Identifier: Apache-2.0
//
// Reads a file or standard input whole, up to a bound. The text is the arena's; the file is closed again. The awkward
// case is the newline that editors and echo leave at the end of a secret: line ends at the end are dropped. No error
// quotes what was read.
#include "clients/ctl/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clients/ctl/command.h"

static ez_status take(FILE *file, const char *what, const char *name, ez_arena *arena, const char **out,
                      ez_error *error) {
    size_t len = 0, room = 4096;
    char *text = ez_arena_alloc(arena, room);
    while (text) {
        len += fread(text + len, 1, room - len, file);
        if (len < room)
            break;
        char *more = room <= EZ_CTL_SOURCE_MAX ? ez_arena_alloc(arena, room * 4) : NULL;
        if (more)
            memcpy(more, text, len);
        room *= 4;
        text = more;
    }
    if (ferror(file))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s: %s can't be read: %s", what, name,
                            strerror(errno));
    if (!text || len > EZ_CTL_SOURCE_MAX)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s: %s has more than %u bytes", what, name,
                            EZ_CTL_SOURCE_MAX);
    if (memchr(text, 0, len))
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s: %s is no text: it holds a NUL", what, name);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    text[len] = '\0'; // len < room
    *out = text;
    return EZ_OK;
}

ez_status ez_ctl_source_read(ez_ctl_sources *sources, const char *what, const char *spec, ez_arena *arena,
                             const char **out, ez_error *error) {
    if (strcmp(spec, "-") == 0) {
        if (sources->has_read_input)
            return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s: standard input can be read once only",
                                what);
        sources->has_read_input = true;
        return take(stdin, what, "standard input", arena, out, error);
    }
    if (spec[0] != '@') {
        *out = spec;
        return EZ_OK;
    }
    FILE *file = fopen(spec + 1, "re");
    if (!file)
        return ez_error_set(error, EZ_INVALID_ARGUMENT, EZ_CTL_USAGE, "%s: %s can't be opened: %s", what, spec + 1,
                            strerror(errno));
    ez_status status = take(file, what, spec + 1, arena, out, error);
    fclose(file);
    return status;
}
