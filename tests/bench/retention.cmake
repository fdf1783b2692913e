# Forgetting old records while new ones come in.
ez_bench(retention SOURCES retention_bench.c LIBS ez_store)
