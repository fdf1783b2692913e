# Queries of logs and statistics while records come in.
ez_bench(queries SOURCES queries_bench.c LIBS ez_logs)
