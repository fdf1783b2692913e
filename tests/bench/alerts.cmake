# Alerts: reports against the bare database, pages over many.
ez_bench(alerts SOURCES alerts_bench.c LIBS ez_store PkgConfig::sqlite3 PkgConfig::libpq)
