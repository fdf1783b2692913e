// SPDX-License-Identifier: Apache-2.0
//
// Last-Event-ID, which any client may send. What is taken must come out the same when it is written and read again.
#include <stdlib.h>
#include <string.h>

#include "gateway/event_position.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ez_event_position position, again;
    char id[EZ_EVENT_ID_MAX];
    char *text = strndup((const char *)data, size);
    if (!text)
        return 0;
    if (ez_event_position_read(text, &position)) {
        ez_event_position_write(&position, id);
        if (!ez_event_position_read(id, &again) || memcmp(&position, &again, sizeof again) != 0)
            abort();
    }
    free(text);
    return 0;
}
