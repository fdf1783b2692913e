// SPDX-License-Identifier: Apache-2.0
//
// What the gateway's own pages share. Failures show in the buffer's overflow.
#pragma once

#include "proto/runtime/buf.h"

// Appends text with what HTML takes for itself escaped; NULL appends nothing.
void ez_html_escape(ez_buf *out, const char *text);
// Up to and with <body>. title is a constant.
void ez_html_head(ez_buf *out, const char *title);
