// SPDX-License-Identifier: Apache-2.0
//
// Sealing with AES-256-GCM. The sealer owns its key and wipes it; a cipher context is made for each call, so any number
// of threads may use one sealer. The nonce is random: with one key, up to 2³² seals keep the chance of a repeat below
// 2⁻³². The awkward case: what fails to open says nothing of why beyond "another key" or "changed", and leaves nothing
// of the plain text in the output.
#include "proto/crypto/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/hash.h"
#include "proto/crypto/random.h"

#define VERSION   1
#define NONCE_LEN 12
#define TAG_LEN   16
#define HEAD_LEN  (1 + 4)

struct ez_sealer {
    uint8_t key[EZ_SEAL_KEY_LEN];
    uint32_t key_id;
};

void ez_wipe(void *data, size_t len) {
    OPENSSL_cleanse(data, len);
}

ez_status ez_sealer_create(const uint8_t key[EZ_SEAL_KEY_LEN], ez_sealer **out, ez_error *error) {
    ez_sealer *sealer = malloc(sizeof *sealer);
    if (!sealer)
        return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for a sealing key");
    memcpy(sealer->key, key, EZ_SEAL_KEY_LEN);
    uint8_t digest[EZ_SHA256_LEN];
    ez_sha256(key, EZ_SEAL_KEY_LEN, digest);
    sealer->key_id =
        (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | (uint32_t)digest[3];
    *out = sealer;
    return EZ_OK;
}

void ez_sealer_destroy(ez_sealer *sealer) {
    if (!sealer)
        return;
    ez_wipe(sealer, sizeof *sealer);
    free(sealer);
}

uint32_t ez_sealer_key_id(const ez_sealer *sealer) {
    return sealer->key_id;
}

void ez_sealer_derive(const ez_sealer *sealer, const void *purpose, size_t len, uint8_t out[EZ_SEAL_KEY_LEN]) {
    ez_hmac_sha256(sealer->key, sizeof sealer->key, purpose, len, out);
}

static ez_status broken(ez_error *error) {
    return ez_error_set(error, EZ_INTERNAL, "SEAL_FAILED", "OpenSSL could not run AES-256-GCM");
}

static ez_status no_room(ez_error *error) {
    return ez_error_set(error, EZ_RESOURCE_EXHAUSTED, "SEAL_TOO_LARGE", "the buffer for a secret is full");
}

static bool encrypt(const ez_sealer *sealer, const uint8_t *nonce, const void *plain, int len, const void *ad,
                    int ad_len, uint8_t *out, uint8_t *tag) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int used = 0;
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, sealer->key, nonce) == 1 &&
              (ad_len == 0 || EVP_EncryptUpdate(ctx, NULL, &used, ad, ad_len) == 1) &&
              (len == 0 || EVP_EncryptUpdate(ctx, out, &used, plain, len) == 1) &&
              EVP_EncryptFinal_ex(ctx, out + len, &used) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

ez_status ez_seal(const ez_sealer *sealer, const void *plain, size_t len, const void *ad, size_t ad_len, ez_buf *out,
                  ez_error *error) {
    if (len > INT32_MAX - EZ_SEAL_OVERHEAD || ad_len > INT32_MAX)
        return no_room(error);
    if (ez_buf_reserve(out, len + EZ_SEAL_OVERHEAD) != EZ_OK)
        return no_room(error);
    uint8_t *at = out->data + out->len;
    at[0] = VERSION;
    at[1] = (uint8_t)(sealer->key_id >> 24);
    at[2] = (uint8_t)(sealer->key_id >> 16);
    at[3] = (uint8_t)(sealer->key_id >> 8);
    at[4] = (uint8_t)sealer->key_id;
    uint8_t *nonce = at + HEAD_LEN;
    uint8_t *text = nonce + NONCE_LEN;
    if (ez_random(nonce, NONCE_LEN) != EZ_OK)
        return ez_error_set(error, EZ_INTERNAL, "NO_RANDOMNESS", "the system gives no random numbers");
    if (!encrypt(sealer, nonce, plain, (int)len, ad, (int)ad_len, text, text + len))
        return broken(error);
    out->len += len + EZ_SEAL_OVERHEAD;
    return EZ_OK;
}

static bool decrypt(const ez_sealer *sealer, const uint8_t *nonce, const uint8_t *text, int len, const void *ad,
                    int ad_len, const uint8_t *tag, uint8_t *out) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t expected[TAG_LEN]; // EVP takes it without const
    memcpy(expected, tag, TAG_LEN);
    int used = 0;
    bool ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, sealer->key, nonce) == 1 &&
              (ad_len == 0 || EVP_DecryptUpdate(ctx, NULL, &used, ad, ad_len) == 1) &&
              (len == 0 || EVP_DecryptUpdate(ctx, out, &used, text, len) == 1) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, expected) == 1 &&
              EVP_DecryptFinal_ex(ctx, out + len, &used) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static ez_status lost(ez_error *error, const char *why) {
    return ez_error_set(error, EZ_DATA_LOSS, "UNSEAL_FAILED", "a sealed secret can't be opened: %s", why);
}

ez_status ez_unseal(const ez_sealer *sealer, const void *sealed, size_t len, const void *ad, size_t ad_len, ez_buf *out,
                    ez_error *error) {
    const uint8_t *at = sealed;
    if (len < EZ_SEAL_OVERHEAD || len > INT32_MAX || ad_len > INT32_MAX)
        return lost(error, "its length is impossible");
    if (at[0] != VERSION)
        return lost(error, "its version is not known to this program");
    uint32_t key_id = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | (uint32_t)at[4];
    if (key_id != sealer->key_id)
        return lost(error, "it was sealed with another key; start with the key file it was sealed with");
    size_t plain_len = len - EZ_SEAL_OVERHEAD;
    if (ez_buf_reserve(out, plain_len ? plain_len : 1) != EZ_OK)
        return no_room(error);
    const uint8_t *nonce = at + HEAD_LEN;
    const uint8_t *text = nonce + NONCE_LEN;
    uint8_t *plain = out->data + out->len;
    if (!decrypt(sealer, nonce, text, (int)plain_len, ad, (int)ad_len, text + plain_len, plain)) {
        ez_wipe(plain, plain_len);
        return lost(error, "it was changed, or belongs to another row");
    }
    out->len += plain_len;
    return EZ_OK;
}
