// SPDX-License-Identifier: Apache-2.0
//
// Certificates made on the spot.
#pragma once

// A certificate that signs itself, for a name ("DNS:hooks.example,IP:127.0.0.1"), and its key, as PEM files. Fails the
// test where it can't.
void given_certificate(const char *names, const char *certificate_file, const char *key_file);
