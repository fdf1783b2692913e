// SPDX-License-Identifier: Apache-2.0
//
// One array of statements per step, each in the file of its number, ended by NULL. For migrations.c alone.
#pragma once

extern const char *const ez_migration_0001[];
extern const char *const ez_migration_0002[];
extern const char *const ez_migration_0003[];
extern const char *const ez_migration_0004[];
extern const char *const ez_migration_0005[];
extern const char *const ez_migration_0006[];
extern const char *const ez_migration_0007[];
extern const char *const ez_migration_0008[];
extern const char *const ez_migration_0009[];
extern const char *const ez_migration_0010[];
