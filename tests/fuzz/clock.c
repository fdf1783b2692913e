// SPDX-License-Identifier: Apache-2.0
//
// ez_clock_parse. Whatever is taken must be within the years 1–9999 and survive being written and read again.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t seconds, again;
    int32_t nanos, nanos_again;
    char text[EZ_CLOCK_TEXT_MAX];
    if (ez_clock_parse((const char *)data, size, &seconds, &nanos) != EZ_OK)
        return 0;
    size_t len = ez_clock_format(seconds, nanos, text);
    if (len >= sizeof text || strlen(text) != len || ez_clock_parse(text, len, &again, &nanos_again) != EZ_OK ||
        again != seconds || nanos_again != nanos)
        abort();
    return 0;
}
