// SPDX-License-Identifier: Apache-2.0
//
// What a call's header can ask for besides the call: a dry run, a condition, a deadline, a name for the log.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/support/raw.h"
#include "tests/integration/support/world.h"

static ez_world w;

static void begin(void) {
    given_world(&w, NULL);
}

static void end(void) {
    end_world(&w);
}

TestSuite(call, .init = begin, .fini = end);

Test(call, validate_only_says_what_would_happen_and_changes_nothing) {
    given_master(&w.admin, "acme");
    char before[65], after[65];
    digest_of(&w, before, NULL, NULL);
    uint64_t revision = revision_of(&w);
    w.admin.next.validate_only = true;
    Ez__V1__Master *would = ask(&w.admin, "Masters/Create", "{'master':{'name':'globex'}}");
    cr_assert_str_eq(would->name, "globex");
    w.admin.next.validate_only = true;
    expect_refused(&w.admin, EZ_ALREADY_EXISTS, "NAME_TAKEN", "Masters/Create", "{'master':{'name':'acme'}}");
    w.admin.next.validate_only = true;
    ask(&w.admin, "Masters/Delete", "{'id':1}");
    digest_of(&w, after, NULL, NULL);
    cr_assert_str_eq(after, before);
    cr_assert_eq(revision_of(&w), revision);
    Ez__V1__ListMastersResponse *list = ask(&w.admin, "Masters/List", "{}");
    cr_assert_eq(list->n_items, 1);
}

// A token that was made for nothing would be taken for one that works.
Test(call, validate_only_gives_no_token_away) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    Ez__V1__Key *key = ask(&w.admin, "Keys/Create", "{'master_id':%" PRId64 ",'key':{'name':'web'}}", acme->id);
    w.admin.next.validate_only = true;
    cr_assert_str_empty(((Ez__V1__Master *)ask(&w.admin, "Masters/Create", "{'master':{'name':'b'}}"))->master_key);
    w.admin.next.validate_only = true;
    Ez__V1__Master *master = ask(&w.admin, "Masters/Rotate", "{'id':%" PRId64 "}", acme->id);
    cr_assert_str_empty(master->master_key);
    w.admin.next.validate_only = true;
    Ez__V1__Key *asked = ask(&w.admin, "Keys/Create", "{'master_id':%" PRId64 ",'key':{'name':'api'}}", acme->id);
    cr_assert_str_empty(asked->token);
    w.admin.next.validate_only = true;
    asked = ask(&w.admin, "Keys/Rotate", "{'id':%" PRId64 "}", key->id);
    cr_assert_str_empty(asked->token);
    w.admin.next.validate_only = true;
    Ez__V1__AdminToken *token = ask(&w.admin, "AdminTokens/Create", "{'admin_token':{'name':'ops'}}");
    cr_assert_str_empty(token->token);
    w.admin.next.validate_only = true;
    Ez__V1__DataPlane *plane = ask(&w.admin, "DataPlanes/Create", "{'data_plane':{'name':'edge'}}");
    cr_assert_str_empty(plane->token);
    plane = ask(&w.admin, "DataPlanes/Create", "{'data_plane':{'name':'edge'}}");
    cr_assert_eq(strncmp(plane->token, plane->token_prefix, 7), 0);
}

Test(call, validate_only_uses_up_no_idempotency_key) {
    w.admin.next.validate_only = true;
    w.admin.next.idempotency_key = "once";
    ask(&w.admin, "Masters/Create", "{'master':{'name':'acme'}}");
    w.admin.next.idempotency_key = "once";
    Ez__V1__Master *made = ask(&w.admin, "Masters/Create", "{'master':{'name':'acme'}}");
    Ez__V1__Master *read = ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", made->id);
    cr_assert_str_eq(read->name, "acme");
}

Test(call, if_match_lets_the_first_of_two_writers_through) {
    Ez__V1__Master *acme = given_master(&w.admin, "acme");
    w.admin.next.if_match = acme->revision;
    Ez__V1__Master *first = ask(&w.admin, "Masters/Update", "{'id':%" PRId64 ",'master':{'group':'a'}}", acme->id);
    cr_assert_gt(first->revision, acme->revision);
    w.admin.next.if_match = acme->revision;
    expect_refused(&w.admin, EZ_ABORTED, "REVISION_MISMATCH", "Masters/Update",
                   "{'id':%" PRId64 ",'master':{'group':'b'}}", acme->id);
    w.admin.next.if_match = acme->revision;
    expect_refused(&w.admin, EZ_ABORTED, "REVISION_MISMATCH", "Masters/Delete", "{'id':%" PRId64 "}", acme->id);
    Ez__V1__Master *read = ask(&w.admin, "Masters/Get", "{'id':%" PRId64 "}", acme->id);
    cr_assert_str_eq(read->group, "a");
    w.admin.next.if_match = first->revision;
    ask(&w.admin, "Masters/Delete", "{'id':%" PRId64 "}", acme->id);
}

Test(call, request_ids_come_back_and_are_kept) {
    w.admin.next.request_id = "order-66.a_B";
    ask(&w.admin, "Masters/Create", "{'master':{'name':'acme'}}");
    cr_assert_str_eq(w.admin.info.request_id, "order-66.a_B");
    Ez__V1__ListAuditResponse *audit = ask(&w.admin, "Audit/List", "{'method':'ez.v1.Masters/Create'}");
    cr_assert_eq(audit->n_items, 1);
    cr_assert_str_eq(audit->items[0]->request_id, "order-66.a_B");
    ask(&w.admin, "Masters/List", "{}");
    char made[65];
    snprintf(made, sizeof made, "%s", w.admin.info.request_id);
    cr_assert_neq(made[0], 0, "the server makes one where there is none");
    ask(&w.admin, "Masters/List", "{}");
    cr_assert_str_neq(w.admin.info.request_id, made);
}

static ez_status ask_named(ez_raw *raw, const char *request_id) {
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    header.method = (char *)"ez.v1.System/GetAbout";
    header.request_id = (char *)request_id;
    ez_buf frame;
    ez_buf_init(&frame, 4096);
    cr_assert_eq(ez_frame_write_call(&frame, &header), EZ_OK);
    ez_status status = raw_ask(raw, frame.data, frame.len);
    ez_buf_fini(&frame);
    return status;
}

Test(call, request_ids_that_could_forge_a_log_are_refused) {
    ez_raw raw;
    given_raw(&raw, w.server.rpc_url);
    char longest[66];
    memset(longest, 'a', 65);
    longest[65] = 0;
    cr_assert_eq(ask_named(&raw, longest), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ask_named(&raw, "a\nb"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ask_named(&raw, "a b"), EZ_INVALID_ARGUMENT);
    cr_assert_eq(ask_named(&raw, longest + 1), EZ_OK);
    cr_assert_str_eq(raw.header->request_id, longest + 1);
    end_raw(&raw);
}

// Waiting for a data plane that never acknowledges takes until the deadline; the change is in all the same, and says
// so.
Test(call, a_committed_change_is_answered_before_its_deadline) {
    ez_caller plane = caller_with(&w, given_plane(&w.admin, "edge")->token);
    ask(&plane, "DataPlanes/Hello", "{'name':'edge','process_epoch':1}");
    w.admin.next.wait_applied = true;
    w.admin.next.timeout_ms = 1500; // less than the silence after which one is lost
    w.admin.next.max_retries = -1;
    ask(&w.admin, "Masters/Create", "{'master':{'name':'acme'}}");
    cr_assert(w.admin.info.has_applied);
    cr_assert_eq(w.admin.info.applied_planes, 0);
    cr_assert_eq(w.admin.info.applied_of, 1);
}

// The server's own deadline, told by the server: the client waits longer than what the frame says.
Test(call, a_change_that_can_not_be_done_in_time_is_given_up_whole) {
    Ez__V1__ProviderGroup *group = given_group(&w.admin, "main", "'m'");
    Ez__V1__BatchBindingsRequest batch = EZ__V1__BATCH_BINDINGS_REQUEST__INIT;
    enum { ITEMS = 1000 };
    static Ez__V1__Binding bindings[ITEMS];
    static Ez__V1__BindingBatchItem items[ITEMS], *list[ITEMS];
    static char names[ITEMS][16];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        ez__v1__binding__init(&bindings[i]);
        bindings[i].namespace_ = (char *)"default";
        bindings[i].public_model = names[i];
        bindings[i].group_id = group->id;
        ez__v1__binding_batch_item__init(&items[i]);
        items[i].action_case = EZ__V1__BINDING_BATCH_ITEM__ACTION_CREATE;
        items[i].create = &bindings[i];
        list[i] = &items[i];
    }
    batch.n_items = ITEMS;
    batch.items = list;
    size_t len = protobuf_c_message_get_packed_size(&batch.base);
    uint8_t *packed = malloc(len);
    protobuf_c_message_pack(&batch.base, packed);
    Ez__V1__CallHeader header = EZ__V1__CALL_HEADER__INIT;
    char authorization[128];
    snprintf(authorization, sizeof authorization, "Bearer %s", w.server.admin_token);
    header.method = (char *)"ez.v1.Bindings/Batch";
    header.authorization = authorization;
    header.timeout_ms = 1;
    ez_buf frame;
    ez_buf_init(&frame, EZ_CALL_MAX);
    cr_assert_eq(ez_frame_write_call(&frame, &header), EZ_OK);
    cr_assert_eq(ez_buf_append(&frame, packed, len), EZ_OK);
    ez_raw raw;
    given_raw(&raw, w.server.rpc_url);
    ez_status status = raw_ask(&raw, frame.data, frame.len);
    Ez__V1__ListBindingsResponse *all = ask(&w.admin, "Bindings/List", "{'page_size':1,'with_total':true}");
    if (status == EZ_OK) // a machine that does a thousand in a millisecond
        cr_assert_eq(all->total, ITEMS);
    else {
        cr_assert_eq(status, EZ_DEADLINE_EXCEEDED, "%s", raw.header->message);
        cr_assert_eq(all->total, 0, "given up, yet %" PRId64 " are there", all->total);
    }
    end_raw(&raw);
    ez_buf_fini(&frame);
    free(packed);
}
