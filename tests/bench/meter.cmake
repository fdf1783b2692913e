# Usage and log records against their bare databases.
ez_bench(meter SOURCES meter_bench.c LIBS ez_store PkgConfig::sqlite3 PkgConfig::libpq m)
