// SPDX-License-Identifier: Apache-2.0
#include "server/listeners.h"

#include <string.h>

static bool is_loopback(const char *url) {
    static const char *const local[] = {"tcp://127.", "tcp://localhost:", "tcp://[::1]:"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        if (strncmp(url, local[i], strlen(local[i])) == 0) {
            return true;
        }
    }
    return false;
}

ez_status ez_listeners_check(const ez_settings *settings, ez_error *error) {
    static const char *const names[] = {"EZ_RPC_URL", "EZ_CONFIG_URL", "EZ_EVENTS_URL"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *url = ez_settings_text(settings, names[i]);
        if (strncmp(url, "tcp://", 6) != 0) {
            return ez_error_set(error, EZ_INVALID_ARGUMENT, "URL_SCHEME", "%s=%s: only tcp:// is spoken", names[i],
                                url);
        }
        if (!is_loopback(url) && !ez_settings_bool(settings, "EZ_INSECURE_LISTEN")) {
            return ez_error_set(
                error, EZ_FAILED_PRECONDITION, "INSECURE_LISTEN",
                "%s=%s is not on loopback, and there is no TLS on it: use a loopback address behind a tunnel, "
                "or say --insecure-listen",
                names[i], url);
        }
    }
    return EZ_OK;
}
