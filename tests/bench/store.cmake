# The stores against their bare databases.
ez_bench(store SOURCES store_bench.c LIBS ez_store PkgConfig::sqlite3 PkgConfig::libpq)
