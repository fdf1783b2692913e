// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 and HMAC by OpenSSL. The algorithm is fetched once: a fetch per call takes a lock and costs more than hashing
// a token does. The awkward case: hashing can fail only where OpenSSL has no memory or no SHA-256, and a wrong digest
// would be worse than stopping, so it stops the program.
#include "proto/crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256; // for the program's life

static void fetch(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static void stop_unless(int ok) {
    if (ok)
        return;
    fputs("OpenSSL can't compute SHA-256: no memory, or its default provider is missing\n", stderr);
    abort();
}

static const EVP_MD *algorithm(void) {
    pthread_once(&once, fetch);
    stop_unless(sha256 != NULL);
    return sha256;
}

void ez_sha256(const void *data, size_t len, uint8_t out[EZ_SHA256_LEN]) {
    stop_unless(EVP_Digest(data, len, out, NULL, algorithm(), NULL));
}

void ez_sha256_parts(const ez_sha256_part *parts, size_t count, uint8_t out[EZ_SHA256_LEN]) {
    const EVP_MD *md = algorithm();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    stop_unless(ctx && EVP_DigestInit_ex(ctx, md, NULL));
    for (size_t i = 0; i < count; i++)
        stop_unless(EVP_DigestUpdate(ctx, parts[i].data, parts[i].len));
    stop_unless(EVP_DigestFinal_ex(ctx, out, NULL));
    EVP_MD_CTX_free(ctx);
}

void ez_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[EZ_SHA256_LEN]) {
    stop_unless(key_len <= INT32_MAX && HMAC(algorithm(), key_len ? key : "", (int)key_len,
                                             len ? data : (const void *)"", len, out, NULL) != NULL);
}

void ez_hex(const void *data, size_t len, char *out) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = 0;
}

bool ez_equal_secret(const void *a, const void *b, size_t len) {
    return CRYPTO_memcmp(a, b, len) == 0;
}
