// SPDX-License-Identifier: Apache-2.0
//
// What may be sent to an upstream and where it may be: the rules for base URLs and static headers. Texts only: no name
// is resolved here. The schema has already seen to it that a base URL is http or https with a host and no credentials.
#pragma once

#include "proto/runtime/error.h"

// https anywhere; http only where the host is private by its looks: loopback, RFC 1918 or unique local addresses, one
// label, or below .local, .internal, .svc, .localhost. Link-local is not: that is where clouds keep their metadata.
// INVALID_ARGUMENT (BASE_URL_INSECURE, BASE_URL_INVALID).
ez_status ez_upstream_check_url(const char *url, ez_error *error) EZ_MUST_CHECK;

// A header that may be added to each request: an HTTP token, not hop-by-hop, no credential; a value without control
// characters. INVALID_ARGUMENT (HEADER_REFUSED) names the header, never its value.
ez_status ez_upstream_check_header(const char *name, const char *value, ez_error *error) EZ_MUST_CHECK;
