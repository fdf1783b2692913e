# SPDX-License-Identifier: Apache-2.0
# The directory alone: bytes and time per key.
ez_bench(directory SOURCES directory_bench.c LIBS ez_directory)
