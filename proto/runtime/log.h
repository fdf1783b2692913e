// SPDX-License-Identifier: Apache-2.0
//
// Log lines on stderr: text on a terminal, one JSON object a line otherwise; EZ_LOG_LEVEL debug | info | warn | error.
// A line is written with one write(2). May be called from any thread. Never pass a secret: a value is written as it is.
#pragma once

#include "proto/runtime/status.h"

typedef enum ez_log_level { EZ_LOG_DEBUG, EZ_LOG_INFO, EZ_LOG_WARN, EZ_LOG_ERROR } ez_log_level;

// program: "ezplaned". level: a word of EZ_LOG_LEVEL; NULL or unknown: info.
void ez_log_init(const char *program, const char *level);
bool ez_log_enabled(ez_log_level level);

// message: a constant sentence. Then pairs (const char *key, const char *value), ended by NULL: ez_log(EZ_LOG_WARN, "a
// peer sent a bad frame", "peer", addr, NULL).
void ez_log_write(ez_log_level level, const char *message, ...) __attribute__((sentinel));
#define ez_log_debug(...) (ez_log_enabled(EZ_LOG_DEBUG) ? ez_log_write(EZ_LOG_DEBUG, __VA_ARGS__, NULL) : (void)0)
#define ez_log_info(...)  (ez_log_enabled(EZ_LOG_INFO) ? ez_log_write(EZ_LOG_INFO, __VA_ARGS__, NULL) : (void)0)
#define ez_log_warn(...)  (ez_log_enabled(EZ_LOG_WARN) ? ez_log_write(EZ_LOG_WARN, __VA_ARGS__, NULL) : (void)0)
#define ez_log_error(...) (ez_log_enabled(EZ_LOG_ERROR) ? ez_log_write(EZ_LOG_ERROR, __VA_ARGS__, NULL) : (void)0)

// A number as text, for a value above: valid until the end of the full expression's block (a compound literal).
#define EZ_LOG_INT(n) (ez_log_int((char[24]){0}, (long long)(n)))
const char *ez_log_int(char *out, long long n);
