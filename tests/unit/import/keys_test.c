// SPDX-License-Identifier: Apache-2.0
//
// Keys (traps 4, 6, 7, 8, 9 and 11): tokens by their hash, quotas that were what remained, states that are kept, and
// whatever decides if a key works is never guessed.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/crypto/token.h"
#include "tests/unit/import/support/loader.h"

#define ACTIVE    EZ__V1__KEY_STATUS__KEY_STATUS_ACTIVE
#define DISABLED  EZ__V1__KEY_STATUS__KEY_STATUS_DISABLED
#define EXPIRED   EZ__V1__KEY_STATUS__KEY_STATUS_EXPIRED
#define EXHAUSTED EZ__V1__KEY_STATUS__KEY_STATUS_EXHAUSTED

static ez_loader *l;

static void begin(void) {
    l = given_loader();
}

static void end(void) {
    end_loader(l);
}

TestSuite(import_keys, .init = begin, .fini = end);

#define MASTER "'masters':[{'name':'acme','group':'vip','max_child_keys':100}],"
// A key named by its number, with a token of its own.
#define KEY(n, more) "{'master_ref':'acme','name':'k" #n "','original_token':'token-" #n "-abcd'" more "}"

static void expect_token(const Ez__V1__Key *key, const char *token) {
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash(token, strlen(token), hash);
    cr_assert_eq(key->token_sha256.len, sizeof hash);
    cr_assert_eq(memcmp(key->token_sha256.data, hash, sizeof hash), 0, "%s has another token", key->name);
    cr_assert_str_eq(key->token, "");
}

Test(import_keys, tokens_are_kept_by_hash_with_the_prefix_clients_send) {
    load(l, MASTER "'keys':[{'master_ref':'acme','name':'bare','original_token':'abcdefgh1234'},"
                   "{'master_ref':'acme','name':'whole','original_token':'sk-abcdefgh5678'},"
                   "{'master_ref':'acme','name':'blanks','original_token':'  abcdefgh9012\\n'},"
                   "{'master_ref':'acme','name':'short','original_token':'abcd'}]");
    expect_counts(l, EZ_PLAN_KEYS, 4, 0, 0, 0);
    expect_token(key_named(l, "bare"), "sk-abcdefgh1234");
    expect_token(key_named(l, "whole"), "sk-abcdefgh5678");
    expect_token(key_named(l, "blanks"), "sk-abcdefgh9012");
    expect_token(key_named(l, "short"), "sk-abcd");
    cr_assert_str_eq(key_named(l, "bare")->token_last4, "1234");
    cr_assert_str_eq(key_named(l, "bare")->token_prefix, "sk-");
    cr_assert_str_eq(key_named(l, "short")->token_last4, "****", "it would give the token away");
}

Test(import_keys, a_client_gets_in_with_the_imported_token) {
    load(l, MASTER "'keys':[" KEY(1, "") "]");
    uint8_t hash[EZ_TOKEN_HASH_LEN];
    ez_token_hash("sk-token-1-abcd", strlen("sk-token-1-abcd"), hash);
    Ez__V1__ResolveKeyRequest request = EZ__V1__RESOLVE_KEY_REQUEST__INIT;
    request.token_sha256 = (ProtobufCBinaryData){.len = sizeof hash, .data = hash};
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(call_message(l->w, "Keys/Resolve", &reply, &request.base), EZ_OK, "%s", l->w->error.message);
    cr_assert(((Ez__V1__ResolveKeyResponse *)reply)->found);
    cr_assert_str_eq(((Ez__V1__ResolveKeyResponse *)reply)->key->name, "k1");
}

Test(import_keys, tokens_that_can_not_be_fail_alone_and_are_not_shown) {
    char large[5000];
    memset(large, 't', sizeof large);
    large[sizeof large - 1] = 0;
    load(l,
         MASTER
         "'keys':[{'master_ref':'acme','original_token':'hush hush'},{'master_ref':'acme','original_token':'sk-'},"
         "{'master_ref':'acme','original_token':' \\t '},{'master_ref':'acme'},"
         "{'master_ref':'acme','original_token':'hush\\u0001'},{'master_ref':'acme','original_token':'hüsh'},"
         "{'master_ref':'acme','original_token':'hush-masked','_token_plaintext_available':false},"
         "{'master_ref':'acme','original_token':'%s'}]",
         large);
    expect_counts(l, EZ_PLAN_KEYS, 0, 0, 0, 8);
    expect_failure(l, "keys[0]", "what no client can send");
    expect_failure(l, "keys[1]", "does not hold its token");
    expect_failure(l, "keys[2]", "does not hold its token");
    expect_failure(l, "keys[3]", "does not hold its token");
    expect_failure(l, "keys[4]", "what no client can send");
    expect_failure(l, "keys[5]", "what no client can send");
    expect_failure(l, "keys[6]", "does not hold its token");
    expect_failure(l, "keys[7]", "too long");
    cr_assert_null(strstr(l->failures, "hush"), "a token is shown");
}

Test(import_keys, the_second_of_a_token_fails_naming_the_first) {
    load(l, MASTER "'keys':[" KEY(1, "") ",{'master_ref':'acme','name':'again','original_token':'sk-token-1-abcd'}]");
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 1);
    expect_failure(l, "keys[1]", "keys[0] has the same token");
    cr_assert_null(find_key(l, "again"));
}

Test(import_keys, without_their_master_fail_alone) {
    load(l, MASTER "'keys':[{'master_ref':'who','original_token':'a'}," KEY(
                1, "") ",{'original_token':'b'},"
                       "{'master_ref':' acme ','name':'k2','original_token':'c'}]");
    expect_counts(l, EZ_PLAN_KEYS, 2, 0, 0, 2);
    expect_failure(l, "keys[0]", "there is no master \"who\"");
    expect_failure(l, "keys[2]", "names no master");
}

Test(import_keys, quotas_are_what_remained_and_what_was_used) {
    load(
        l,
        MASTER "'keys':[" KEY(1, ",'quota_limit':60,'quota_used':40") "," KEY(
            2,
            ",'quota_limit':60,'quota_used':40,'"
            "unlimited_quota':true") "," KEY(3,
                                             ",'quota_"
                                             "limit':-"
                                             "12,'"
                                             "quota_"
                                             "used':"
                                             "40") "," KEY(4,
                                                           ",'quota_limit':0,'quota_used':0") "," KEY(5,
                                                                                                      ",'unlimited_"
                                                                                                      "quota':false,"
                                                                                                      "'quota_used':"
                                                                                                      "7") "," KEY(6,
                                                                                                                   ",'"
                                                                                                                   "quo"
                                                                                                                   "ta_"
                                                                                                                   "use"
                                                                                                                   "d':"
                                                                                                                   "7") "," KEY(7,
                                                                                                                                ",'quota_limit':"
                                                                                                                                "9223372036854775807,'quota_"
                                                                                                                                "used':5") "," KEY(8,
                                                                                                                                                   ",'quota_"
                                                                                                                                                   "limit':5."
                                                                                                                                                   "0e2") "," KEY(9,
                                                                                                                                                                  ",'quota_limit':0,'quota_used':3,'status':'disabled'") "]");
    static const struct {
        const char *name;
        int64_t limit, used;
        Ez__V1__KeyStatus status;
    } wanted[] = {{"k1", 100, 40, ACTIVE},      {"k2", -1, 40, ACTIVE},  {"k3", 40, 40, EXHAUSTED},
                  {"k4", 0, 0, EXHAUSTED},      {"k5", 7, 7, EXHAUSTED}, {"k6", -1, 7, ACTIVE},
                  {"k7", INT64_MAX, 5, ACTIVE}, {"k8", 500, 0, ACTIVE},  {"k9", 3, 3, DISABLED}};
    expect_counts(l, EZ_PLAN_KEYS, 9, 0, 0, 0);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        Ez__V1__Key *key = key_named(l, wanted[i].name);
        cr_assert_eq(key->quota_limit, wanted[i].limit, "%s: %lld", key->name, (long long)key->quota_limit);
        cr_assert_eq(key->quota_used, wanted[i].used, "%s", key->name);
        cr_assert_eq(key->status, wanted[i].status, "%s", key->name);
        cr_assert_eq(key->quota_unit, EZ__V1__QUOTA_UNIT__QUOTA_UNIT_UNITS);
    }
}

Test(import_keys, status_and_expiry_are_kept) {
    load(
        l,
        MASTER "'keys':[" KEY(1, ",'status':'expired'") "," KEY(2, ",'status':'exhausted'") "," KEY(
            3,
            ",'status':'"
            "Disabled'") "," KEY(4,
                                 ",'expires_at':'2020-01-31T00:00:00Z'") "," KEY(5,
                                                                                 ",'expires_at':'2099-12-31T23:59:59+"
                                                                                 "08:00'") "," KEY(6,
                                                                                                   ",'expires_at':-"
                                                                                                   "1") "," KEY(7,
                                                                                                                ",'"
                                                                                                                "exp"
                                                                                                                "ire"
                                                                                                                "s_"
                                                                                                                "at'"
                                                                                                                ":'"
                                                                                                                "'") "," KEY(8,
                                                                                                                             ",'"
                                                                                                                             "exp"
                                                                                                                             "ire"
                                                                                                                             "s_"
                                                                                                                             "at'"
                                                                                                                             ":41"
                                                                                                                             "024"
                                                                                                                             "448"
                                                                                                                             "00") "," KEY(9,
                                                                                                                                           ",'status':'disabled','expires_at':'2020-01-31T00:00:00Z','quota_limit':0") "]");
    expect_counts(l, EZ_PLAN_KEYS, 9, 0, 0, 0);
    cr_assert_eq(key_named(l, "k1")->status, EXPIRED);
    cr_assert_eq(key_named(l, "k2")->status, EXHAUSTED);
    cr_assert_eq(key_named(l, "k3")->status, DISABLED);
    cr_assert_eq(key_named(l, "k4")->status, EXPIRED);
    cr_assert_eq(key_named(l, "k4")->expires_at->seconds, 1580428800);
    cr_assert_eq(key_named(l, "k5")->status, ACTIVE);
    cr_assert_eq(key_named(l, "k5")->expires_at->seconds, 4102415999);
    cr_assert_null(key_named(l, "k6")->expires_at);
    cr_assert_null(key_named(l, "k7")->expires_at);
    cr_assert_eq(key_named(l, "k8")->expires_at->seconds, 4102444800);
    cr_assert_eq(key_named(l, "k9")->status, DISABLED);
}

Test(import_keys, allow_ips_come_with_blanks_and_newlines) {
    load(
        l,
        MASTER "'keys':[" KEY(
            1,
            ",'allow_ips':['10.0.0.0/8',' 192.0.2.17 \\n','2001:db8::/32\\n198.51.100.1, "
            "203.0.113.9']") "," KEY(2,
                                     ",'allow_ips':'192.0.2.1\\n192.0.2.2'") "," KEY(3,
                                                                                     ",'allow_ips':['10.0.0.0/"
                                                                                     "8','example.com']") "," KEY(4,
                                                                                                                  ",'"
                                                                                                                  "allo"
                                                                                                                  "w_"
                                                                                                                  "ips'"
                                                                                                                  ":[' "
                                                                                                                  "',''"
                                                                                                                  "]") "," KEY(5,
                                                                                                                               ",'allow_ips':['10."
                                                                                                                               "0.0.0/33']") "]");
    expect_counts(l, EZ_PLAN_KEYS, 3, 0, 0, 2);
    cr_assert_eq(key_named(l, "k1")->n_allow_ips, 5);
    cr_assert_eq(key_named(l, "k2")->n_allow_ips, 2);
    cr_assert_eq(key_named(l, "k4")->n_allow_ips, 0);
    expect_failure(l, "keys[2]", "allow_ips[1]");
    expect_failure(l, "keys[4]", "allow_ips[0]");
}

// An empty group is the source's "default"; an absent one is the master's.
Test(import_keys, groups_and_namespaces) {
    load(l, "'masters':[{'name':'acme','group':'vip','namespaces':['vip','default'],'default_namespace':'vip'}],"
            "'keys':[" KEY(1, ",'group':''") "," KEY(2, "") "," KEY(3, ",'group':'gold','namespaces':['']") "," KEY(
                4, ",'namespaces':['default','vip','default']") "]");
    expect_counts(l, EZ_PLAN_KEYS, 4, 0, 0, 0);
    cr_assert_str_eq(key_named(l, "k1")->group, "default");
    cr_assert_str_eq(key_named(l, "k2")->group, "", "it inherits the master's");
    cr_assert_str_eq(key_named(l, "k3")->group, "gold");
    cr_assert_eq(key_named(l, "k3")->n_namespaces, 1);
    cr_assert_str_eq(key_named(l, "k3")->namespaces[0], "default");
    cr_assert_str_eq(key_named(l, "k3")->default_namespace, "default");
    cr_assert_eq(key_named(l, "k4")->n_namespaces, 2);
    cr_assert_str_eq(key_named(l, "k4")->default_namespace, "", "the master's is one of its own: it inherits it");
}

Test(import_keys, the_rest_comes_along) {
    load(l, MASTER "'keys':[" KEY(1, ",'scopes':['chat',''],'model_limits_enabled':true,'model_limits':['m',' n ','m'],"
                                     "'_original_id':119") "]");
    Ez__V1__Key *key = key_named(l, "k1");
    cr_assert_eq(key->n_scopes, 1);
    cr_assert(key->model_limits_enabled);
    cr_assert_eq(key->n_model_limits, 2);
    cr_assert_str_eq(key->model_limits[1], "n");
    cr_assert_str_eq(label_of((const void *)key->labels, key->n_labels, "original_id"), "119");
}

Test(import_keys, of_a_suspended_master_come_in) {
    load(l, "'masters':[{'name':'acme','status':'suspended'}],'keys':[" KEY(1, "") "]");
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 0);
}

// A restriction that is not understood must not come in as none.
Test(import_keys, what_is_not_understood_fails_alone) {
    load(
        l, MASTER
        "'keys':[" KEY(1, ",'status':'paused'") "," KEY(2, ",'allow_ips':{}") "," KEY(3, ",'allow_ips':[1]") "," KEY(4, ",'model_limits_enabled':1") "," KEY(5, ",'model_limits':7") "," KEY(6, ",'quota_limit':'500'") "," KEY(
            7,
            ",'quota_limit':0.5") "," KEY(8,
                                          ",'unlimited_quota':'no'") "," KEY(9,
                                                                             ",'"
                                                                             "expire"
                                                                             "s_at':"
                                                                             "'soon"
                                                                             "'") "," KEY(10,
                                                                                          ",'expires_at':"
                                                                                          "true") "," KEY(11,
                                                                                                          ",'"
                                                                                                          "na"
                                                                                                          "me"
                                                                                                          "sp"
                                                                                                          "ac"
                                                                                                          "es"
                                                                                                          "':"
                                                                                                          "'v"
                                                                                                          "ip"
                                                                                                          "'") "," KEY(12,
                                                                                                                       "") "]");
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 11);
    expect_failure(l, "keys[0]", "none of active, disabled, expired, exhausted");
    expect_failure(l, "keys[1]", "allow_ips: must be a list of texts");
    expect_failure(l, "keys[2]", "allow_ips: must be a list of texts");
    expect_failure(l, "keys[3]", "model_limits_enabled: must be true or false");
    expect_failure(l, "keys[4]", "model_limits: must be a list of texts");
    expect_failure(l, "keys[5]", "quota_limit: must be a whole number");
    expect_failure(l, "keys[6]", "quota_limit: must be a whole number");
    expect_failure(l, "keys[7]", "unlimited_quota: must be true or false");
    expect_failure(l, "keys[8]", "expires_at: must be an RFC 3339 time");
    expect_failure(l, "keys[9]", "expires_at: must be an RFC 3339 time");
    expect_failure(l, "keys[10]", "namespaces: must be a list of texts");
}

Test(import_keys, names_and_lists_at_their_limits) {
    char most[256], more[257], scopes[65 * 8 + 1] = "";
    memset(most, 'n', sizeof most);
    memset(more, 'm', sizeof more);
    most[255] = more[256] = 0;
    for (int i = 0; i < 65; i++)
        sprintf(scopes + strlen(scopes), "%s's%d'", i ? "," : "", i);
    load(l,
         MASTER "'keys':[{'master_ref':'acme','name':'%s','original_token':'a'},"
                "{'master_ref':'acme','name':'%s','original_token':'b'},"
                "{'master_ref':'acme','scopes':[%s],'original_token':'c'}]",
         most, more, scopes);
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 2);
    key_named(l, most);
    expect_failure(l, "keys[1]", "name: must have at most 255 bytes");
    expect_failure(l, "keys[2]", "scopes");
}

// JSON all the same, which our reader of it can't hold: it once refused the whole file.
Test(import_keys, values_that_can_not_be_held_fail_alone) {
    load(l, MASTER "'keys':[" KEY(1, ",'quota_limit':99999999999999999999") "," KEY(2, ",'x':1e999") "," KEY(
                3, ",'x':'\\u0000'") "," KEY(4, ",'status':'active','status':'disabled'") "," KEY(5, "") "]");
    expect_counts(l, EZ_PLAN_KEYS, 1, 0, 0, 4);
    expect_failure(l, "keys[0]", "a number in it is too large");
    expect_failure(l, "keys[1]", "a number in it is too large");
    expect_failure(l, "keys[2]", "NUL");
    expect_failure(l, "keys[3]", "a field twice");
}
