// SPDX-License-Identifier: Apache-2.0
//
// The request that a command line makes: fields, lists, maps, masks, files, and what is refused.
#include "clients/ctl/request.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ez/v1/api_key.pb-c.h"
#include "ez/v1/binding.pb-c.h"
#include "ez/v1/key.pb-c.h"
#include "ez/v1/master.pb-c.h"
#include "tests/unit/ctl/given.h"

static void *build(command *c) {
    ProtobufCMessage *request = NULL;
    expect_parsed(c);
    c->status = ez_ctl_request_build(&c->arguments, &c->arena, &request, &c->error);
    return request;
}

#define given_request(c, ...) (given_command(c, __VA_ARGS__), build(c))

Test(request, create_fills_the_resource) {
    command c;
    Ez__V1__CreateMasterRequest *request =
        given_request(&c, "masters", "create", "--name", "acme", "--max-child-keys", "3", "--labels", "a=b", "--labels",
                      "c=d=e", "--namespaces", "x", "--namespaces", "y");
    expect_parsed(&c);
    cr_assert_str_eq(request->master->name, "acme");
    cr_assert_eq(request->master->max_child_keys, 3);
    cr_assert_eq(request->master->n_labels, 2);
    cr_assert_str_eq(request->master->labels[1]->key, "c");
    cr_assert_str_eq(request->master->labels[1]->value, "d=e");
    cr_assert_eq(request->master->n_namespaces, 2);
    cr_assert_str_eq(request->master->namespaces[1], "y");
    end_command(&c);
}

Test(request, a_path_parameter_is_operand_or_flag) {
    command c;
    Ez__V1__CreateKeyRequest *request = given_request(&c, "keys", "create", "4", "--name", "web");
    expect_parsed(&c);
    cr_assert_eq(request->master_id, 4);
    end_command(&c);
    request = given_request(&c, "keys", "create", "--master-id", "5", "--name", "web");
    expect_parsed(&c);
    cr_assert_eq(request->master_id, 5);
    cr_assert_str_eq(request->key->name, "web");
    end_command(&c);
}

Test(request, update_masks_what_was_given) {
    command c;
    Ez__V1__UpdateKeyRequest *request =
        given_request(&c, "keys", "update", "1", "--quota-limit", "100", "--labels", "");
    expect_parsed(&c);
    cr_assert_eq(request->id, 1);
    cr_assert_eq(request->key->quota_limit, 100);
    cr_assert_eq(request->n_update_mask, 2);
    cr_assert_str_eq(request->update_mask[0], "quota_limit");
    cr_assert_str_eq(request->update_mask[1], "labels");
    cr_assert_eq(request->key->n_labels, 0);
    end_command(&c);
}

Test(request, flags_come_on_top_of_json) {
    command c;
    Ez__V1__UpdateKeyRequest *request =
        given_request(&c, "keys", "update", "1", "--json", "{\"name\":\"a\",\"scopes\":[\"x\"],\"group\":null}",
                      "--name", "b", "--scopes", "y");
    expect_parsed(&c);
    cr_assert_str_eq(request->key->name, "b");
    cr_assert_eq(request->key->n_scopes, 1);
    cr_assert_str_eq(request->key->scopes[0], "y");
    cr_assert_eq(request->n_update_mask, 3); // each once, the one that was null too
    end_command(&c);
}

Test(request, an_explicit_mask_is_the_mask) {
    command c;
    Ez__V1__UpdateKeyRequest *request =
        given_request(&c, "keys", "update", "1", "--name", "b", "--update-mask", "group");
    expect_parsed(&c);
    cr_assert_eq(request->n_update_mask, 1);
    cr_assert_str_eq(request->update_mask[0], "group");
    end_command(&c);
}

Test(request, json_is_the_request_where_rest_says_so) {
    command c;
    Ez__V1__BatchBindingsRequest *request =
        given_request(&c, "bindings", "batch", "--json", "{\"items\":[{\"delete\":{\"id\":3}}]}");
    expect_parsed(&c);
    cr_assert_eq(request->n_items, 1);
    end_command(&c);
    request = given_request(&c, "bindings", "batch", "--items", "{\"delete\":{\"id\":3}}", "--items",
                            "{\"delete\":{\"id\":4}}");
    expect_parsed(&c);
    cr_assert_eq(request->n_items, 2);
    cr_assert_eq(request->items[1]->delete_->id, 4);
    end_command(&c);
}

static char *given_file(const char *text, size_t len) {
    static char path[64];
    snprintf(path, sizeof path, "@/tmp/ez-ctl-test.XXXXXX");
    int fd = mkstemp(path + 1);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
    return path;
}

Test(request, secrets_come_from_files) {
    command c;
    char *file = given_file("sk-upstream\r\n", 13);
    Ez__V1__CreateApiKeyRequest *request =
        given_request(&c, "api-keys", "create", "--group-id", "1", "--api-key", file);
    unlink(file + 1);
    expect_parsed(&c);
    cr_assert_str_eq(request->api_key->api_key, "sk-upstream");
    end_command(&c);
}

Test(request, only_secrets_and_messages_come_from_files) {
    command c;
    Ez__V1__CreateMasterRequest *request = given_request(&c, "masters", "create", "--name", "@home");
    expect_parsed(&c);
    cr_assert_str_eq(request->master->name, "@home");
    end_command(&c);
}

Test(request, a_large_file_is_read_whole) {
    size_t len = 100000;
    char *text = malloc(len);
    memset(text, ' ', len);
    memcpy(text, "{\"name\":\"a\"", 11);
    text[len - 1] = '}';
    char *file = given_file(text, len);
    command c;
    Ez__V1__CreateMasterRequest *request = given_request(&c, "masters", "create", "--json", file);
    unlink(file + 1);
    free(text);
    expect_parsed(&c);
    cr_assert_str_eq(request->master->name, "a");
    end_command(&c);
}

#define expect_refused(text, ...)                                                                                      \
    do {                                                                                                               \
        command c_;                                                                                                    \
        (void)given_request(&c_, __VA_ARGS__);                                                                         \
        cr_assert_eq(c_.status, EZ_INVALID_ARGUMENT, "%s", text);                                                      \
        cr_assert(strstr(c_.error.message, text), "no \"%s\" in: %s", text, c_.error.message);                         \
        end_command(&c_);                                                                                              \
    } while (0)

Test(request, refusals) {
    expect_refused("nothing to change", "keys", "update", "1");
    expect_refused("wants --id", "keys", "get");
    expect_refused("id must not be 0", "keys", "get", "0");
    expect_refused("id must not be 0", "keys", "get", "--id", "0");
    expect_refused("--ids must be a whole number; for more than one repeat the flag", "alerts", "batch", "--ids",
                   "10,9");
    expect_refused("warning, critical; for more than one repeat the flag", "alerts", "list", "--severity",
                   "critical,warning");
    expect_refused("wants --master-id", "keys", "create", "--name", "x");
    expect_refused("that many operands", "keys", "get", "1", "2");
    expect_refused("given twice", "keys", "get", "1", "--id", "2");
    expect_refused("--name is given twice", "keys", "update", "1", "--name", "a", "--name", "b");
    expect_refused("--quota-limit must be a whole number", "keys", "update", "1", "--quota-limit", "many");
    expect_refused("--quota-limit must be a whole number", "keys", "update", "1", "--quota-limit", "");
    expect_refused("--quota-limit is out of range", "keys", "update", "1", "--quota-limit", "9223372036854775808");
    expect_refused("one of active, disabled, expired, exhausted", "keys", "update", "1", "--status", "on");
    expect_refused("--labels must be NAME=VALUE", "keys", "update", "1", "--labels", "web");
    expect_refused("must be a time such as", "keys", "update", "1", "--expires-at", "tomorrow");
    expect_refused("id: must be a whole number", "keys", "get", "one");
    expect_refused("can't be opened", "masters", "create", "--json", "@/nonexistent/file");
    expect_refused("there is no such field", "masters", "create", "--json", "{\"nmae\":\"a\"}");
}

Test(request, standard_input_is_read_once) {
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(write(fds[1], "secret\n", 7), 7);
    close(fds[1]);
    cr_assert_neq(dup2(fds[0], STDIN_FILENO), -1);
    expect_refused("read once only", "api-keys", "create", "--api-key", "-", "--refresh-token", "-");
}

Test(request, no_error_quotes_a_secret) {
    char *file = given_file("s3cret\0more", 11);
    command c;
    (void)given_request(&c, "api-keys", "create", "--group-id", "1", "--api-key", file);
    unlink(file + 1);
    cr_assert_eq(c.status, EZ_INVALID_ARGUMENT);
    cr_assert(strstr(c.error.message, "NUL"));
    cr_assert_null(strstr(c.error.message, "s3cret"));
    end_command(&c);
}
