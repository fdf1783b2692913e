// SPDX-License-Identifier: Apache-2.0
//
// ez_buf: bytes that grow up to a ceiling its owner declared. Not shared between threads.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/runtime/status.h"

typedef struct ez_buf {
    uint8_t *data; // NULL until the first byte; not NUL-terminated unless ez_buf_cstr was called
    size_t len;
    size_t cap;
    size_t max;    // never grows past this
    bool overflow; // an append was refused; sticky until ez_buf_clear
} ez_buf;

void ez_buf_init(ez_buf *buf, size_t max);
void ez_buf_fini(ez_buf *buf);
void ez_buf_clear(ez_buf *buf); // keeps the memory

// Each returns RESOURCE_EXHAUSTED at the ceiling (and sets overflow; nothing appended) or where there is no memory.
// Writers of long texts may ignore single results and look at overflow once.
ez_status ez_buf_reserve(ez_buf *buf, size_t more);
ez_status ez_buf_append(ez_buf *buf, const void *data, size_t len);
ez_status ez_buf_puts(ez_buf *buf, const char *text);
ez_status ez_buf_putc(ez_buf *buf, char c);
ez_status ez_buf_printf(ez_buf *buf, const char *format, ...) EZ_PRINTF(2, 3);

// NUL-terminated view; the NUL is not counted in len. NULL where there is no memory.
const char *ez_buf_cstr(ez_buf *buf);

// Takes the memory out (caller frees); the buffer is empty after.
uint8_t *ez_buf_take(ez_buf *buf, size_t *len);
