# SPDX-License-Identifier: Apache-2.0
# Redis at the edge, against the bare commands and the writes that have none.
ez_bench(redis SOURCES redis_bench.c LIBS ez_redis ez_directory ez_feed ez_store ez_schema)
