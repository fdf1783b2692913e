// SPDX-License-Identifier: Apache-2.0
//
// Copies of texts and bytes, and the signature: X-EZ-Timestamp is of the attempt, so it is made for each.
#include "server/state/delivery/parcel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/seal.h"
#include "proto/runtime/clock.h"

#define ATTEMPT_MS  10000
#define REPLY_BYTES 4096 // nothing is made of it
#define OWN_FIELDS  4

static void wipe_and_free(char *text) {
    if (text != NULL) {
        ez_wipe(text, strlen(text));
    }
    free(text);
}

bool ez_parcel_fill(ez_parcel *parcel, const ez_delivery_message *message) {
    parcel->url = strdup(message->url);
    parcel->content_type = strdup(message->content_type);
    parcel->secret = message->secret != NULL ? strdup(message->secret) : NULL;
    parcel->body = malloc(message->body_len + 1);
    parcel->body_len = message->body_len;
    bool ok = parcel->url != NULL && parcel->content_type != NULL && parcel->body != NULL &&
              (parcel->secret != NULL || message->secret == NULL);
    for (size_t i = 0; ok && i < message->header_count; i++) {
        parcel->names[i] = strdup(message->headers[i].name);
        parcel->values[i] = strdup(message->headers[i].value);
        parcel->header_count = i + 1;
        ok = parcel->names[i] != NULL && parcel->values[i] != NULL;
    }
    if (ok && message->body_len > 0) {
        memcpy(parcel->body, message->body, message->body_len);
    }
    return ok;
}

void ez_parcel_fini(ez_parcel *parcel) {
    for (size_t i = 0; i < parcel->header_count; i++) {
        free(parcel->names[i]);
        wipe_and_free(parcel->values[i]);
    }
    wipe_and_free(parcel->url); // Slack's, for one, is a secret
    free(parcel->content_type);
    wipe_and_free(parcel->secret);
    free(parcel->body);
    *parcel = (ez_parcel){.url = NULL};
}

// "sha256=" and 64 digits, over timestamp "." body.
static bool sign(const ez_parcel *parcel, const char *timestamp, char *out) {
    uint8_t mac[EZ_SHA256_LEN];
    ez_buf signed_text;
    size_t len = strlen(timestamp) + 1 + parcel->body_len;
    ez_buf_init(&signed_text, len);
    bool ok = ez_buf_reserve(&signed_text, len) == EZ_OK && ez_buf_puts(&signed_text, timestamp) == EZ_OK &&
              ez_buf_putc(&signed_text, '.') == EZ_OK &&
              ez_buf_append(&signed_text, parcel->body, parcel->body_len) == EZ_OK;
    if (ok) {
        ez_hmac_sha256(parcel->secret, strlen(parcel->secret), signed_text.data, signed_text.len, mac);
        memcpy(out, "sha256=", 7);
        ez_hex(mac, sizeof mac, out + 7);
    }
    ez_buf_fini(&signed_text);
    return ok;
}

ez_status ez_parcel_submit(const ez_parcel *parcel, ez_outbound *outbound, int64_t id, ez_outbound_done_fn *done,
                           void *user, ez_error *error) {
    char id_text[24], timestamp[24], signature[7 + 2 * EZ_SHA256_LEN + 1];
    snprintf(id_text, sizeof id_text, "%lld", (long long)id);
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)(ez_clock_wall_ns() / 1000000000));
    ez_outbound_field fields[OWN_FIELDS + EZ_DELIVERY_HEADERS] = {
        {"Content-Type", parcel->content_type}, {"X-EZ-Delivery", id_text}, {"X-EZ-Timestamp", timestamp}};
    size_t count = 3;
    if (parcel->secret != NULL) {
        if (!sign(parcel, timestamp, signature)) {
            return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "NO_MEMORY", "there is no memory to sign a message");
        }
        fields[count++] = (ez_outbound_field){"X-EZ-Signature", signature};
    }
    for (size_t i = 0; i < parcel->header_count; i++) {
        fields[count++] = (ez_outbound_field){parcel->names[i], parcel->values[i]};
    }
    ez_outbound_request request = {.method = "POST",
                                   .url = parcel->url,
                                   .headers = fields,
                                   .header_count = count,
                                   .body = parcel->body,
                                   .body_len = parcel->body_len,
                                   .timeout_ms = ATTEMPT_MS,
                                   .max_reply = REPLY_BYTES,
                                   .done = done,
                                   .user = user};
    return ez_outbound_submit(outbound, &request, error);
}
