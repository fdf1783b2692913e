// SPDX-License-Identifier: Apache-2.0
//
// The audit chain's formula. Lengths stand before the texts, so that no two different entries pack alike.
#include "server/state/store/audit_hash.h"

#include <string.h>

#define TEXTS 6

static void big_endian(uint8_t *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

void ez_audit_hash(const ez_store_audit *entry, uint8_t out[EZ_SHA256_LEN]) {
    const char *texts[TEXTS] = {entry->actor,   entry->method,     entry->resource,
                                entry->request, entry->request_id, entry->remote};
    uint8_t numbers[24];
    uint8_t lengths[TEXTS][4];
    big_endian(numbers, (uint64_t)entry->id, 8);
    big_endian(numbers + 8, (uint64_t)entry->time_ns, 8);
    big_endian(numbers + 16, entry->revision, 8);
    ez_sha256_part parts[2 + 2 * TEXTS] = {{entry->previous_hash, EZ_SHA256_LEN}, {numbers, sizeof numbers}};
    for (unsigned i = 0; i < TEXTS; i++) {
        size_t len = texts[i] ? strlen(texts[i]) : 0;
        big_endian(lengths[i], len, 4);
        parts[2 + 2 * i] = (ez_sha256_part){lengths[i], 4};
        parts[3 + 2 * i] = (ez_sha256_part){len ? texts[i] : "", len};
    }
    ez_sha256_parts(parts, 2 + 2 * TEXTS, out);
}

void ez_audit_chain(ez_store_audit *entries, size_t count, int64_t next_id, const uint8_t newest[EZ_SHA256_LEN]) {
    const uint8_t *previous = newest;
    for (size_t i = 0; i < count; i++) {
        entries[i].id = next_id + (int64_t)i;
        memcpy(entries[i].previous_hash, previous, EZ_SHA256_LEN);
        ez_audit_hash(&entries[i], entries[i].hash);
        previous = entries[i].hash;
    }
}
