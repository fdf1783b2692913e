// SPDX-License-Identifier: Apache-2.0
//
// A catalogue of models, read, kept, opened again and asked. What is taken must be within its bounds, sorted, and come
// out of its packed form as it went in; each entry must be found under its own name; what is refused must say why.
#include <stdlib.h>
#include <string.h>

#include "proto/runtime/cleanup.h"
#include "proto/runtime/utf8.h"
#include "server/domain/routing/models/catalogue.h"
#include "server/domain/routing/models/catalogue_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds) {
    if (!holds)
        abort();
}

static void check_model(const Ez__V1__CatalogueModel *model) {
    expect(model->id[0] && strlen(model->id) <= 255 && ez_utf8_is_text(model->id, strlen(model->id)));
    expect(model->context_window >= 0 && model->context_window <= EZ_CATALOGUE_TOKENS);
    expect(model->max_output_tokens >= 0 && model->max_output_tokens <= EZ_CATALOGUE_TOKENS);
    expect(model->cost >= 0 && model->cost <= (int64_t)(EZ_CATALOGUE_USD * 1e9));
    expect(model->has_cost || model->cost == 0);
    expect(model->kind != EZ__V1__MODEL_KIND__MODEL_KIND_UNSPECIFIED);
}

static void ask(const ez_catalogue *catalogue, const Ez__V1__CatalogueModel *model) {
    ez_claim claim;
    char name[EZ_CATALOGUE_NAME_MAX];
    ez_slice id = {(const uint8_t *)model->id, strlen(model->id)}, url = {(const uint8_t *)"http://x", 8};
    expect(ez_catalogue_find(catalogue, "compatible", url, id, &claim, name) && name[0]);
    expect(claim.context_window <= model->context_window && claim.functions <= model->functions);
    (void)ez_catalogue_find(catalogue, "openai", url, id, &claim, name);
}

static void check(const Ez__V1__ModelCatalogue *made) {
    size_t len = protobuf_c_message_get_packed_size(&made->base);
    ez_autofree uint8_t *packed = malloc(len + 1);
    expect(packed != NULL);
    protobuf_c_message_pack(&made->base, packed);
    ez_catalogue *catalogue;
    expect(ez_catalogue_open((ez_slice){packed, len}, &catalogue, NULL) == EZ_OK);
    const Ez__V1__ModelCatalogue *kept = ez_catalogue_message(catalogue);
    int64_t models = 0;
    for (size_t i = 0; i < kept->n_providers; i++) {
        const Ez__V1__CatalogueProvider *provider = kept->providers[i];
        expect(i == 0 || strcmp(kept->providers[i - 1]->id, provider->id) < 0);
        for (size_t j = 0; j < provider->n_models; j++) {
            expect(j == 0 || strcmp(provider->models[j - 1]->id, provider->models[j]->id) < 0);
            check_model(provider->models[j]);
            ask(catalogue, provider->models[j]);
            models++;
        }
    }
    expect(models == kept->models && kept->skipped >= 0 && kept->skipped <= kept->models);
    ez_catalogue_close(catalogue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ez_auto(ez_arena) arena;
    ez_arena_init(&arena, EZ_CATALOGUE_ARENA);
    Ez__V1__ModelCatalogue *made;
    ez_error error = EZ_ERROR_INIT;
    ez_status status = ez_catalogue_parse((const char *)data, size, &arena, &made, &error);
    if (status == EZ_OK)
        check(made);
    else
        expect(error.reason[0] && error.message[0]);
    return 0;
}
