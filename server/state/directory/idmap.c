// SPDX-License-Identifier: Apache-2.0
//
// The radix tree. A node covers 512 << shift ids; leaves (shift 0) hold the items, which are not the tree's. The tree
// grows upwards: a new root takes the old one as its first child, so readers that came in by the old root lose nothing.
// Nodes that are empty and not reserved are unlinked and freed by RCU.
//
// Awkward: a root stays as high as it once was; ids are never given twice, so the tree is about as high as its greatest
// id.
#include "server/state/directory/idmap.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "server/state/feed/rcu.h"

#define WAYS      512
#define WAYS_BITS 9
#define DEPTH_MAX 7 // 7 times 9 bits are 63

struct ez_idmap_node {
    ez_rcu_head rcu;
    uint32_t used; // slots that are not NULL; the writer's
    uint32_t pins; // reservations of a leaf; the writer's
    uint32_t shift;
    void *_Atomic slots[WAYS];
};

void ez_idmap_init(ez_idmap *map) {
    atomic_init(&map->root, NULL);
    atomic_init(&map->count, 0);
}

static ez_idmap_node *root_of(const ez_idmap *map) {
    return atomic_load_explicit(&map->root, memory_order_acquire);
}

static void *slot_get(const ez_idmap_node *node, unsigned at) {
    return atomic_load_explicit(&node->slots[at], memory_order_acquire);
}

static void free_below(ez_idmap_node *node) {
    for (unsigned i = 0; node->shift > 0 && i < WAYS; i++) {
        ez_idmap_node *child = slot_get(node, i);
        if (child)
            free_below(child);
    }
    free(node);
}

void ez_idmap_fini(ez_idmap *map) {
    ez_idmap_node *root = root_of(map);
    if (root)
        free_below(root);
    ez_idmap_init(map);
}

static bool is_within(const ez_idmap_node *node, uint64_t id) {
    return id >> node->shift < WAYS; // shift is at most 54: no shift by 64
}

static unsigned way(const ez_idmap_node *node, uint64_t id) {
    return (unsigned)(id >> node->shift) % WAYS;
}

void *ez_idmap_get(const ez_idmap *map, int64_t id) {
    const ez_idmap_node *node = root_of(map);
    if (!node || id < 0 || !is_within(node, (uint64_t)id))
        return NULL;
    while (node->shift > 0) {
        node = slot_get(node, way(node, (uint64_t)id));
        if (!node)
            return NULL;
    }
    return slot_get(node, way(node, (uint64_t)id));
}

size_t ez_idmap_count(const ez_idmap *map) {
    return atomic_load_explicit(&map->count, memory_order_relaxed);
}

// The least item with low bits >= low.
static void *find_up(const ez_idmap_node *node, uint64_t low) {
    uint64_t below = ((uint64_t)1 << node->shift) - 1;
    for (unsigned i = (unsigned)(low >> node->shift); i < WAYS; i++, low = 0) {
        void *child = slot_get(node, i);
        if (child && node->shift > 0)
            child = find_up(child, low & below);
        if (child)
            return child;
    }
    return NULL;
}

// The greatest item with low bits <= low.
static void *find_down(const ez_idmap_node *node, uint64_t low) {
    uint64_t below = ((uint64_t)1 << node->shift) - 1;
    for (unsigned i = (unsigned)(low >> node->shift) + 1; i-- > 0; low = below) {
        void *child = slot_get(node, i);
        if (child && node->shift > 0)
            child = find_down(child, low & below);
        if (child)
            return child;
    }
    return NULL;
}

void *ez_idmap_after(const ez_idmap *map, int64_t after) {
    const ez_idmap_node *root = root_of(map);
    if (!root || after == INT64_MAX)
        return NULL;
    uint64_t id = after < 0 ? 0 : (uint64_t)after + 1;
    return is_within(root, id) ? find_up(root, id) : NULL;
}

void *ez_idmap_before(const ez_idmap *map, int64_t before) {
    const ez_idmap_node *root = root_of(map);
    if (!root || before <= 0)
        return NULL;
    uint64_t id = (uint64_t)before - 1;
    if (!is_within(root, id))
        id = ((uint64_t)WAYS << root->shift) - 1;
    return find_down(root, id);
}

// ---- Writing

static ez_idmap_node *node_create(uint32_t shift) {
    ez_idmap_node *node = calloc(1, sizeof *node);
    if (node)
        node->shift = shift;
    return node;
}

static void slot_set(ez_idmap_node *node, unsigned at, void *item) {
    node->used += (item != NULL) - (slot_get(node, at) != NULL);
    atomic_store_explicit(&node->slots[at], item, memory_order_release);
}

// A root that covers id.
static ez_status grow_to(ez_idmap *map, uint64_t id) {
    ez_idmap_node *root = root_of(map);
    while (!root || !is_within(root, id)) {
        uint32_t shift = root ? root->shift + WAYS_BITS : 0;
        while (!root && id >> shift >= WAYS)
            shift += WAYS_BITS;
        ez_idmap_node *higher = node_create(shift);
        if (!higher)
            return EZ_RESOURCE_EXHAUSTED;
        if (root)
            slot_set(higher, 0, root);
        atomic_store_explicit(&map->root, higher, memory_order_release);
        root = higher;
    }
    return EZ_OK;
}

// The nodes from the root to id's leaf; false where the way ends before.
static bool walk(const ez_idmap *map, uint64_t id, ez_idmap_node *path[DEPTH_MAX], unsigned *depth) {
    ez_idmap_node *node = root_of(map);
    if (!node || !is_within(node, id))
        return false;
    for (*depth = 0; node; node = slot_get(node, way(node, id))) {
        path[(*depth)++] = node;
        if (node->shift == 0)
            return true;
    }
    return false;
}

static void node_release(ez_rcu_head *head) {
    ez_rcu_release_begin();
    free(head); // the head is the first member
}

// Unlinks what is empty, from the leaf upwards.
static void shrink(ez_idmap *map, uint64_t id, ez_idmap_node *path[DEPTH_MAX], unsigned depth) {
    while (depth-- > 0 && path[depth]->used == 0 && path[depth]->pins == 0) {
        if (depth == 0)
            atomic_store_explicit(&map->root, NULL, memory_order_release);
        else
            slot_set(path[depth - 1], way(path[depth - 1], id), NULL);
        ez_rcu_defer(&path[depth]->rcu, node_release);
    }
}

ez_status ez_idmap_reserve(ez_idmap *map, int64_t id) {
    if (id < 0)
        return EZ_INVALID_ARGUMENT;
    if (grow_to(map, (uint64_t)id) != EZ_OK)
        return EZ_RESOURCE_EXHAUSTED;
    ez_idmap_node *node = root_of(map);
    while (node->shift > 0) {
        unsigned at = way(node, (uint64_t)id);
        ez_idmap_node *child = slot_get(node, at);
        if (!child) {
            child = node_create(node->shift - WAYS_BITS);
            if (!child)
                return EZ_RESOURCE_EXHAUSTED;
            slot_set(node, at, child);
        }
        node = child;
    }
    node->pins++;
    return EZ_OK;
}

void ez_idmap_unreserve(ez_idmap *map, int64_t id) {
    ez_idmap_node *path[DEPTH_MAX];
    unsigned depth;
    bool is_there = walk(map, (uint64_t)id, path, &depth);
    assert(is_there && path[depth - 1]->pins > 0);
    (void)is_there;
    path[depth - 1]->pins--;
    shrink(map, (uint64_t)id, path, depth);
}

void ez_idmap_set(ez_idmap *map, int64_t id, void *item) {
    ez_idmap_node *path[DEPTH_MAX];
    unsigned depth;
    bool is_there = walk(map, (uint64_t)id, path, &depth);
    assert(item && is_there && path[depth - 1]->pins > 0);
    (void)is_there;
    ez_idmap_node *leaf = path[depth - 1];
    leaf->pins--;
    if (!slot_get(leaf, way(leaf, (uint64_t)id)))
        atomic_fetch_add_explicit(&map->count, 1, memory_order_relaxed);
    slot_set(leaf, way(leaf, (uint64_t)id), item);
}

void ez_idmap_remove(ez_idmap *map, int64_t id) {
    ez_idmap_node *path[DEPTH_MAX];
    unsigned depth;
    if (id < 0 || !walk(map, (uint64_t)id, path, &depth))
        return;
    ez_idmap_node *leaf = path[depth - 1];
    if (!slot_get(leaf, way(leaf, (uint64_t)id)))
        return;
    slot_set(leaf, way(leaf, (uint64_t)id), NULL);
    atomic_fetch_sub_explicit(&map->count, 1, memory_order_relaxed);
    shrink(map, (uint64_t)id, path, depth);
}
