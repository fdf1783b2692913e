# SPDX-License-Identifier: Apache-2.0
ez_bench(oauth SOURCES oauth_bench.c LIBS ez_oauth ez_schema)
