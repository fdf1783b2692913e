// SPDX-License-Identifier: Apache-2.0
//
// ez_export: an export file, mapped into memory, with the place of every element of its four lists. Nothing is decoded
// here but the skeleton, so that 200 MB cost no more than their pages and 16 bytes an element.
#pragma once

#include "proto/runtime/error.h"
#include "proto/runtime/frame.h"

typedef enum ez_export_section {
    EZ_EXPORT_PROVIDERS,
    EZ_EXPORT_MASTERS,
    EZ_EXPORT_KEYS,
    EZ_EXPORT_BINDINGS,
    EZ_EXPORT_SECTIONS,
} ez_export_section;

typedef struct ez_export_list {
    ez_slice *items; // each one JSON value, as it stands in the file
    size_t count;
} ez_export_list;

typedef struct ez_export {
    void *map;
    size_t len;
    ez_export_list lists[EZ_EXPORT_SECTIONS];
    size_t warning_count; // the exporter's own
} ez_export;

// INVALID_ARGUMENT: not a file, not JSON, cut short, nested deeper than 64, another version or source: one line, with
// the byte where it stopped. The file is mapped: it must not be cut short before ez_export_close.
ez_status ez_export_open(const char *path, ez_export **out, ez_error *error) EZ_MUST_CHECK;
void ez_export_close(ez_export *file);

// "providers", "masters", "keys", "bindings".
const char *ez_export_section_name(ez_export_section section);
